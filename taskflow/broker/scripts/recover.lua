-- Give the tasks back whose lease has ended without a verdict: their worker is gone.
-- moves:   active -> pending
-- keys:    active, lease, pending, orphans
-- args:    limit, foreign_grace, task_prefix
-- derives: the hash of each id whose lease has ended
-- flags:   allow-oom
-- returns: the ids that were given back
--
-- A lease with an owner of ours is over when it ends, by the server's clock. One without is Go's, written by another clock: it
-- has `foreign_grace` seconds more, as Go gives. Costs no retry: a task that never ran must still run.
local time = redis.call('TIME')
local now = tonumber(time[1])
local recovered = {}
for _, id in ipairs(redis.call('ZRANGE', lease, '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(limit))) do
  local task = task_prefix .. id
  local fields = redis.call('HMGET', task, 'msg', 'owner', 'state')
  if not fields[1] then
    redis.call('LREM', active, 0, id)
    redis.call('ZREM', lease, id)
    redis.call('ZADD', orphans, time[1], id)
  elseif fields[3] ~= 'active' then
    redis.call('LREM', active, 0, id)
    redis.call('ZREM', lease, id)
  elseif fields[2] or tonumber(redis.call('ZSCORE', lease, id)) <= now - tonumber(foreign_grace) then
    redis.call('LREM', active, 0, id)
    redis.call('ZREM', lease, id)
    redis.call('HDEL', task, 'owner')
    redis.call('HINCRBY', task, 'recoveries', 1)
    redis.call('HSET', task, 'state', 'pending')
    redis.call('RPUSH', pending, id)
    recovered[#recovered + 1] = id
  end
end
return recovered
