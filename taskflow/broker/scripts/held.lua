-- What the server says that a worker holds: for one that does not know whether its last dequeue ran.
-- moves:   -
-- keys:    active
-- args:    worker, limit, task_prefix
-- derives: the hash of each id in active
-- flags:   allow-oom
-- returns: id, message, lease_token, history (as dequeue.lua gives it) of each task
--
-- A task is left out if its message is not the one that was taken under its lease token: Go has recovered it, and may run it.
-- @include read_task
-- @include is_about
-- @include history
local answer = {}
for _, id in ipairs(redis.call('LRANGE', active, 0, tonumber(limit) - 1)) do
  local fields = read_task(task_prefix .. id, 'msg', 'state', 'owner', 'receipt', 'crashes', 'recoveries', 'first_failed_at', 'expires')
  if fields[2] == 'active' and fields[3] == worker and is_about(fields[4], fields[1]) then
    answer[#answer + 1] = id
    answer[#answer + 1] = fields[1]
    answer[#answer + 1] = string.sub(fields[4], 1, -41)
    answer[#answer + 1] = history(fields[5], fields[6], fields[7], fields[8])
  end
end
return answer
