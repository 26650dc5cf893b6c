-- Enters a task that waits for its time. Needs: due, now.
local soonest, an_hour = nil, 3600
local function enter_later(source, id, at)
  -- Go's programs compare whole seconds, and asynqmon cannot list anything else, so the score is rounded up. Of a task that is due
  -- within the hour the exact time is kept, too, in a key of ours that ends by itself.
  local whole = math.ceil(at)
  redis.call('ZADD', source, whole, id)
  if whole > at and at - now < an_hour then
    redis.call('ZADD', due, at, id)
    if not soonest or at < soonest then soonest = at end
  end
end
local function tell_soonest()
  if not soonest then return end
  redis.pcall('EXPIRE', due, 2 * an_hour)
  -- The forwarder looks just after the start of each second, and then knows all that is due before the next one. So it has to be told
  -- only of what is due before that. Where the user of the server may not publish, the task starts a fraction of a second later:
  -- that is no reason to fail.
  if soonest < math.floor(now) + 1.02 and tonumber(redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]) == soonest then
    redis.pcall('PUBLISH', due, string.format('%.6f', soonest))
  end
end
