-- Forget tasks that have ended: delete what is kept of them, their results with it, and release a lock that one still holds.
-- moves:   archived -> gone, completed -> gone
-- keys:    archived, completed, task...
-- args:    unique_prefix, id...
-- derives: the lock of a task
-- flags:   allow-oom
-- returns: for each id a Moved
-- @include release_lock
local replies = {}
for index = id_argv_from, #ARGV do
  local id, task = ARGV[index], KEYS[task_keys_from + index - id_argv_from]
  local fields = redis.call('HMGET', task, 'msg', 'state', 'unique_key')
  local state, reply = fields[2], Moved.MOVED
  if not state then
    reply = Moved.NO_SUCH_TASK
  elseif state == 'active' then
    reply = Moved.IS_ACTIVE
  elseif state ~= 'completed' and state ~= 'archived' then
    reply = Moved.HAS_NOT_ENDED
  else
    redis.call('ZREM', archived, id)
    redis.call('ZREM', completed, id)
    release_lock(id, fields[3], fields[1])
    redis.call('DEL', task)
  end
  replies[#replies + 1] = reply
end
return replies
