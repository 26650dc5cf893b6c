-- Delete unique locks whose task is gone, or does not hold them.
-- moves:   -
-- keys:    answer, lock...
-- args:    resent, dry, task_prefix, unique_prefix
-- derives: the hash of the task that each lock names
-- flags:   allow-oom
-- returns: for each lock 1 it is such a one | 0 it is not
--
-- With `dry` 1 nothing is written. A lock of an archived task is left alone: Go keeps it until its time to live ends.
-- @include replied
-- @include read_task
-- @include release_lock
local replies, released = {}, false
for index = lock_keys_from, #KEYS do
  local lock, dangling = KEYS[index], 0
  local id = redis.pcall('GET', lock)
  if type(id) == 'string' and string.sub(lock, 1, #unique_prefix) == unique_prefix then
    local fields = read_task(task_prefix .. id, 'msg', 'unique_key')
    if not fields[1] or (fields[2] ~= lock and read_text(fields[1], 10) ~= lock) then
      dangling = 1
      if dry ~= '1' then
        release_lock(id, lock, false)
        released = true
      end
    end
  end
  replies[#replies + 1] = dangling
end
return released and note(replies) or replies
