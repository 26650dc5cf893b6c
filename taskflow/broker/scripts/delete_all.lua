-- Delete the first tasks of a state, or of an aggregation group, and release their unique locks.
-- moves:   pending -> gone, scheduled -> gone, retry -> gone, archived -> gone, completed -> gone, aggregating -> gone
-- keys:    answer, source, active, lease, groups
-- args:    resent, limit, state, group, task_prefix, unique_prefix
-- derives: the hash and the lock of each id
-- flags:   allow-oom
-- returns: how many ids were taken from the source, and how many tasks were deleted
--
-- A task that runs as well stood in two places: it is taken out of this one, and its worker keeps it.
-- @include replied
-- @include release_lock
-- @include read_task
-- @include source
local deleted = 0
local ids = first_of_source()
for _, id in ipairs(ids) do
  local task = task_prefix .. id
  local fields = read_task(task, 'msg', 'state', 'unique_key')
  if fields[2] ~= 'active' or not fields[1] or not (redis.call('ZSCORE', lease, id) or redis.call('LPOS', active, id)) then
    release_lock(id, fields[3], fields[1])
    deleted = deleted + redis.call('DEL', task)
  end
  leave_source(id)
end
if group ~= '' and redis.call('EXISTS', source) == 0 then redis.call('SREM', groups, group) end
return #ids > 0 and note({#ids, deleted}) or {0, 0}
