-- Archive tasks that wait, by id, and release their unique locks.
-- moves:   pending -> archived, scheduled -> archived, retry -> archived, aggregating -> archived, active -> archived
-- keys:    answer, pending, active, lease, scheduled, retry, archived, groups, aggregation_sets, task...
-- args:    resent, group_prefix, unique_prefix, task_prefix, channel_prefix, archive_seconds, archive_size, only_state, id...
-- derives: the group and the lock of a task, the aggregation sets of the queue, the hashes of trimmed tasks
-- flags:   allow-oom
-- returns: for each id a Moved
--
-- With `only_state` one in another state is left where it is: it has moved on since somebody chose it.
--
-- A task whose hash says active, but which nobody holds, is archived too. The message is left as it is, as in Go.
-- @include replied
-- @include places
-- @include release_lock
local this_second = tonumber(redis.call('TIME')[1])
local replies, trim = {}, false
for index = id_argv_from, #ARGV do
  local id, task = ARGV[index], KEYS[task_keys_from + index - id_argv_from]
  local fields = redis.call('HMGET', task, 'msg', 'state', 'group', 'unique_key')
  local state, reply = fields[2], Moved.MOVED
  if not fields[1] then
    reply = Moved.NO_SUCH_TASK
  elseif only_state ~= '' and state ~= only_state then
    reply = Moved.IS_ELSEWHERE
  elseif state == 'active' and held(id) then
    reply = Moved.IS_ACTIVE
  elseif state == 'archived' and redis.call('ZSCORE', archived, id) then
    reply = Moved.IS_THERE
  elseif state == 'completed' then
    reply = Moved.IS_COMPLETED
  elseif state == 'aggregating' and not leave_group(id, fields[3]) and set_of(id) then
    reply = Moved.IS_BEING_AGGREGATED
  end
  if reply == Moved.MOVED then
    if state == 'pending' then redis.call('LREM', pending, 0, id) end
    redis.call('ZREM', scheduled, id)
    redis.call('ZREM', retry, id)
    redis.call('HDEL', task, 'owner', 'receipt', 'pending_since')
    redis.call('HSET', task, 'state', 'archived')
    redis.call('ZADD', archived, this_second, id)
    release_lock(id, fields[4], fields[1])
    redis.call('SPUBLISH', channel_prefix .. id, Verb.ARCHIVE)
    trim = true
  end
  replies[#replies + 1] = reply
end
-- @include trim_archived
return trim and note(replies) or replies
