-- Archive the first tasks of a state, or of an aggregation group, and release their unique locks.
-- moves:   pending -> archived, scheduled -> archived, retry -> archived, aggregating -> archived
-- keys:    answer, source, active, lease, archived, groups, orphans
-- args:    resent, limit, state, group, unique_prefix, task_prefix, channel_prefix, archive_seconds, archive_size
-- derives: the hash and the lock of each id, the hashes of trimmed tasks
-- flags:   allow-oom
-- returns: how many ids were taken from the source, and how many of them were archived
--
-- An id without a hash goes to `orphans`. A task that runs as well stood in two places: it is taken out of this one, and its worker
-- keeps it.
-- @include replied
-- @include release_lock
-- @include read_task
-- @include orphan
-- @include source
local time = redis.call('TIME')
local this_second = tonumber(time[1])
local moved = 0
local ids = first_of_source()
for _, id in ipairs(ids) do
  local task = task_prefix .. id
  local fields = read_task(task, 'msg', 'state', 'unique_key')
  if not fields[1] then
    orphan(id, task)
  elseif fields[2] ~= 'active' or not (redis.call('ZSCORE', lease, id) or redis.call('LPOS', active, id)) then
    redis.call('HDEL', task, 'owner', 'receipt', 'pending_since')
    redis.call('HSET', task, 'state', 'archived')
    redis.call('ZADD', archived, this_second, id)
    release_lock(id, fields[3], fields[1])
    redis.call('SPUBLISH', channel_prefix .. id, Verb.ARCHIVE)
    moved = moved + 1
  end
  leave_source(id)
end
local trim = moved > 0
-- @include trim_archived
if group ~= '' and redis.call('EXISTS', source) == 0 then redis.call('SREM', groups, group) end
return #ids > 0 and note({#ids, moved}) or {0, 0}
