-- Extend the leases that a worker holds.
-- moves:   -
-- keys:    lease, task...
-- args:    owner, lease_seconds, id...
-- flags:   allow-oom
-- returns: the ids that the worker does not hold any more
--
-- Never makes a lease anew: one that is gone was recovered by somebody.
local expiry = tonumber(redis.call('TIME')[1]) + tonumber(lease_seconds)
local lost = {}
for index = id_argv_from, #ARGV do
  local id = ARGV[index]
  local fields = redis.call('HMGET', KEYS[task_keys_from + index - id_argv_from], 'state', 'owner')
  if fields[1] == 'active' and fields[2] == owner then
    redis.call('ZADD', lease, 'XX', expiry, id)
  else
    lost[#lost + 1] = id
  end
end
return lost
