-- What the server says that a worker holds: for one that does not know whether its last dequeue ran.
-- moves:   -
-- keys:    active
-- args:    owner, limit, task_prefix
-- derives: the hash of each id in active
-- flags:   allow-oom
-- returns: id, message, crashes, recoveries, first failure (Unix seconds) of each task
--
-- `taken` is the SHA-1 of the message that was taken: Go's recoverer leaves the owner of a task, and rewrites its message.
-- @include read_task
local answer = {}
for _, id in ipairs(redis.call('LRANGE', active, 0, tonumber(limit) - 1)) do
  local fields = read_task(task_prefix .. id, 'msg', 'state', 'owner', 'crashes', 'recoveries', 'first_failed_at', 'taken')
  if fields[1] and fields[2] == 'active' and fields[3] == owner and (not fields[7] or redis.sha1hex(fields[1]) == fields[7]) then
    answer[#answer + 1] = id
    answer[#answer + 1] = fields[1]
    answer[#answer + 1] = fields[4] or '0'
    answer[#answer + 1] = fields[5] or '0'
    answer[#answer + 1] = fields[6] or '0'
  end
end
return answer
