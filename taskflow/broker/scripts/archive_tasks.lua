-- Archive tasks that wait, by id, and release their unique locks.
-- moves:   pending -> archived, scheduled -> archived, retry -> archived, aggregating -> archived, active -> archived
-- keys:    answer, pending, active, lease, scheduled, retry, archived, groups, aggregation_sets, task...
-- args:    resent, group_prefix, unique_prefix, task_prefix, channel_prefix, archive_seconds, archive_size, id...
-- derives: the group and the lock of a task, the aggregation sets of the queue, the hashes of trimmed tasks
-- flags:   allow-oom
-- returns: for each id 1 moved | 0 no such task | -1 active | -2 archived already | -3 being aggregated | -4 completed
--
-- Heals: a task whose hash says active, but which nobody holds, is archived too. The message is left as it is, as in Go.
-- @include replied
-- @include places
-- @include release_lock
local seconds = tonumber(redis.call('TIME')[1])
local replies, trim = {}, false
for index = id_argv_from, #ARGV do
  local id, task = ARGV[index], KEYS[task_keys_from + index - id_argv_from]
  local fields = redis.call('HMGET', task, 'msg', 'state', 'group', 'unique_key')
  local state, reply = fields[2], 1
  if not fields[1] then
    reply = 0
  elseif state == 'active' and held(id) then
    reply = -1
  elseif state == 'archived' and redis.call('ZSCORE', archived, id) then
    reply = -2
  elseif state == 'completed' then
    reply = -4
  elseif state == 'aggregating' and not leave_group(id, fields[3]) and set_of(id) then
    reply = -3
  end
  if reply == 1 then
    if state == 'pending' then redis.call('LREM', pending, 0, id) end
    redis.call('ZREM', scheduled, id)
    redis.call('ZREM', retry, id)
    redis.call('HDEL', task, 'owner', 'receipt', 'pending_since')
    redis.call('HSET', task, 'state', 'archived')
    redis.call('ZADD', archived, seconds, id)
    release_lock(id, fields[4], fields[1])
    redis.call('SPUBLISH', channel_prefix .. id, 'a')
    trim = true
  end
  replies[#replies + 1] = reply
end
-- @include trim_archived
return trim and note(replies) or replies
