-- What the server says that a worker holds: for one that does not know whether its last dequeue ran.
-- moves:   -
-- keys:    active, lease
-- args:    worker, limit, task_prefix
-- derives: the hash of each id in active
-- flags:   allow-oom
-- returns: id, message, lease_token, history (as dequeue.lua gives it) of each task
--
-- A task is left out if its lease is Go's: that has recovered the task, and runs it.
-- @include read_task
-- @include holds
-- @include history
local answer = {}
for _, id in ipairs(redis.call('LRANGE', active, 0, tonumber(limit) - 1)) do
  local fields = read_task(task_prefix .. id, 'msg', 'state', 'owner', 'receipt', 'crashes', 'recoveries', 'first_failed_at', 'expires')
  if fields[1] and fields[3] == worker and fields[4] and holds(fields[4], fields[2], fields[4], redis.call('ZSCORE', lease, id)) then
    answer[#answer + 1] = id
    answer[#answer + 1] = fields[1]
    answer[#answer + 1] = fields[4]
    answer[#answer + 1] = history(fields[5], fields[6], fields[7], fields[8])
  end
end
return answer
