-- Enters a task that waits for its time. Needs: due, now.
local soonest
local function enter_later(source, id, at)
  -- Whole seconds, rounded up, are what Go's programs compare and list (asynqmon can list nothing else); where a fraction is
  -- worth it, the exact time stands beside them in a key of ours, which ends by itself.
  local whole = math.ceil(at)
  redis.call('ZADD', source, whole, id)
  if whole > at and at - now < 3600 then
    redis.call('ZADD', due, at, id)
    if not soonest or at < soonest then soonest = at end
  end
end
local function tell_soonest()
  if not soonest then return end
  redis.pcall('EXPIRE', due, 7200)
  -- Whoever moves what is due looks just after the start of each second, and knows then what comes until the next. A user without
  -- the right to say so is no reason to fail: it costs a fraction of a second.
  if soonest < math.floor(now) + 1.02 and tonumber(redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]) == soonest then
    redis.pcall('PUBLISH', due, string.format('%.6f', soonest))
  end
end
