-- Extend the leases that a worker holds.
-- moves:   -
-- keys:    lease, task...
-- args:    owner, lease_seconds, item...
-- flags:   allow-oom
-- returns: the ids that the worker does not hold any more
--
-- An item is: id, taken (the SHA-1 of the message that was taken). Never makes a lease anew: one that is gone was recovered by
-- somebody. The message tells as in finish.lua: a task that Go took over still names us as its owner.
-- @include read_task
local expiry = tonumber(redis.call('TIME')[1]) + tonumber(lease_seconds)
local lost = {}
local key = task_keys_from
for arg = item_argv_from, #ARGV, 2 do
  local id = ARGV[arg]
  local fields = read_task(KEYS[key], 'state', 'owner', 'msg')
  key = key + 1
  if fields[1] == 'active' and fields[2] == owner and fields[3] and redis.sha1hex(fields[3]) == ARGV[arg + 1] then
    redis.call('ZADD', lease, 'XX', expiry, id)
  else
    lost[#lost + 1] = id
  end
end
return lost
