-- Move the first tasks of a state, or of an aggregation group, to pending.
-- moves:   scheduled -> pending, retry -> pending, archived -> pending, completed -> pending, aggregating -> pending
-- keys:    answer, source, pending, active, lease, groups, orphans
-- args:    resent, limit, group, task_prefix
-- derives: the hash of each id
-- flags:   allow-oom
-- returns: how many ids were taken from the source, and how many of them were moved
--
-- An id without a hash goes to `orphans`. A task that runs as well stood in two places: it is taken out of this one, and its worker
-- keeps it.
-- @include replied
-- @include read_task
-- @include orphan
local time = redis.call('TIME')
local since = time[1] .. string.format('%06d', time[2]) .. '000'
local waiting = {}
local ids = redis.call('ZRANGE', source, 0, tonumber(limit) - 1)
for _, id in ipairs(ids) do
  local task = task_prefix .. id
  local fields = read_task(task, 'msg', 'state', 'cancel')
  if not fields[1] then
    orphan(id, task)
  elseif fields[2] ~= 'active' or not (redis.call('ZSCORE', lease, id) or redis.call('LPOS', active, id)) then
    redis.call('HDEL', task, 'owner', 'receipt')
    if fields[3] then redis.call('HDEL', task, 'cancel', 'expires') end
    redis.call('HSET', task, 'state', 'pending', 'pending_since', since)
    waiting[#waiting + 1] = id
  end
  redis.call('ZREM', source, id)
end
-- @include push_waiting
if group ~= '' and redis.call('EXISTS', source) == 0 then redis.call('SREM', groups, group) end
return #ids > 0 and note({#ids, #waiting}) or {0, 0}
