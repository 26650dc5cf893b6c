-- Run tasks now, by id: move them to pending from wherever they wait.
-- moves:   scheduled -> pending, retry -> pending, archived -> pending, completed -> pending, aggregating -> pending, active -> pending
-- keys:    answer, pending, active, lease, scheduled, retry, archived, completed, groups, aggregation_sets, task...
-- args:    resent, group_prefix, only_state, id...
-- derives: the aggregation group of a task, and the aggregation sets of the queue
-- flags:   allow-oom
-- returns: for each id a Moved
--
-- With `only_state` one in another state is left where it is: it has moved on since somebody chose it.
--
-- A task whose hash says active or pending, but which stands in no list, is put into pending, too.
-- @include replied
-- @include places
local time = redis.call('TIME')
local since = time[1] .. string.format('%06d', time[2]) .. '000'
local replies, waiting, moved = {}, {}, {}
for index = id_argv_from, #ARGV do
  local id, task = ARGV[index], KEYS[task_keys_from + index - id_argv_from]
  local fields = redis.call('HMGET', task, 'msg', 'state', 'group', 'cancel')
  local state, reply = fields[2], Moved.MOVED
  if not fields[1] then
    reply = Moved.NO_SUCH_TASK
  elseif only_state ~= '' and state ~= only_state then
    reply = Moved.IS_ELSEWHERE
  elseif state == 'active' and held(id) then
    reply = Moved.IS_ACTIVE
  elseif state == 'pending' and (moved[id] or redis.call('LPOS', pending, id)) then
    reply = Moved.IS_THERE
  elseif state == 'aggregating' and not leave_group(id, fields[3]) and set_of(id) then
    reply = Moved.IS_BEING_AGGREGATED
  end
  if reply == Moved.MOVED then
    redis.call('ZREM', scheduled, id)
    redis.call('ZREM', retry, id)
    redis.call('ZREM', archived, id)
    redis.call('ZREM', completed, id)
    redis.call('HDEL', task, 'owner', 'receipt')
    -- That it was cancelled once does not hold any more.
    if fields[4] then redis.call('HDEL', task, 'cancel', 'expires') end
    redis.call('HSET', task, 'state', 'pending', 'pending_since', since)
    waiting[#waiting + 1] = id
    moved[id] = true
  end
  replies[#replies + 1] = reply
end
-- @include push_waiting
return #waiting > 0 and note(replies) or replies
