-- Extend the leases that a worker holds.
-- moves:   -
-- keys:    lease, task...
-- args:    lease_seconds, item...
-- item:    id, lease_token
-- flags:   allow-oom
-- returns: the ids that the worker does not hold any more; then id and mark of each that somebody has cancelled (see cancel.lua)
--
-- `lease_token` is that of the call of dequeue.lua that took it. Never makes a lease anew: one that is gone was recovered by somebody.
-- @include read_task
-- @include holds
local expires_at = tonumber(redis.call('TIME')[1]) + tonumber(lease_seconds) + 0.5
local lost, ids, cancelled = {}, {}, {}
local key = task_keys_from
for arg = item_argv_from, #ARGV, item_size do ids[#ids + 1] = ARGV[arg] end
local scores = #ids > 0 and redis.call('ZMSCORE', lease, unpack(ids))
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  local fields = read_task(KEYS[key], 'state', 'receipt', 'cancel')
  key = key + 1
  if holds(lease_token, fields[1], fields[2], scores[key - task_keys_from]) then
    redis.call('ZADD', lease, 'XX', expires_at, id)
    if fields[3] then
      cancelled[#cancelled + 1] = id
      cancelled[#cancelled + 1] = fields[3]
    end
  else
    lost[#lost + 1] = id
  end
end
return {lost, cancelled}
