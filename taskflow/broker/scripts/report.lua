-- Write down what running tasks say of themselves: how far they are, and lines.
-- moves:   -
-- keys:    lease, task...
-- args:    channel_prefix, item...
-- item:    id, lease_token, reports
-- returns: the ids that the worker does not hold any more: nothing of them is written
--
-- `reports` are those of one attempt that nobody has confirmed yet, in their order, in msgpack: of each its number, its progress and its
-- chunks of lines. What is there already is not written again. A worker that has lost a task has nothing to say of it: its
-- lease token is not that of the task any more.
-- Whoever watches a task is told that there is something new. Where the user of the server may not publish, they find it by looking.
-- @include read_task
-- @include holds
-- @include said
local lost, ids = {}, {}
local key = task_keys_from
for arg = item_argv_from, #ARGV, item_size do ids[#ids + 1] = ARGV[arg] end
local scores = #ids > 0 and redis.call('ZMSCORE', lease, unpack(ids))
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  local task = KEYS[key]
  local fields = read_task(task, 'state', 'receipt')
  key = key + 1
  if not holds(lease_token, fields[1], fields[2], scores[key - task_keys_from]) then
    lost[#lost + 1] = id
  elseif say(task, lease_token, cmsgpack.unpack(reports)) then
    redis.pcall('SPUBLISH', channel_prefix .. id, '')
  end
end
return lost
