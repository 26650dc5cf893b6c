-- Let time pass for what is stored of a queue: each time, score and time to live is set back by so many seconds.
-- keys: scheduled, retry, due, pending, active, lease, groups, then the sorted sets of WHOLE, then keys that end by themselves
-- args: seconds, "hold" or "", the prefix of tasks, that of groups, the number of sets in WHOLE, the number of owners that are gone,
--   these, then ids with the exact times at which they are due
--
-- For tests, on a server of their own: it looks at everything in one step. "hold" is for time that has passed and is not to count
-- (seconds < 0): then only what would begin to run is moved.
local scheduled, retry, due, pending, active, lease, groups = unpack(KEYS, 1, 7)
local seconds, hold, task_prefix, group_prefix = tonumber(ARGV[1]), ARGV[2] == 'hold', ARGV[3], ARGV[4]
local whole_sets, gone_owners = tonumber(ARGV[5]), tonumber(ARGV[6])
local call = redis.call
local function earlier(task, field, format, unit)
  local value = tonumber(call('HGET', task, field))
  -- 1 in `expires` is the mark of a task that is cancelled.
  if value and value > 1 then call('HSET', task, field, string.format(format, value - seconds * unit)) end
end
local noted = {}
for index = 7 + gone_owners, #ARGV, 2 do noted[ARGV[index]] = tonumber(ARGV[index + 1]) end
-- What waits for its time: at the whole second in its set, at the exact time in `due`. Enqueued for later than in an hour it stands
-- there only from now on: whoever enqueued it may have told us the time. Else it may be due up to a second too early, rather than too
-- late: a test that lets its delay pass would wait.
for _, source in ipairs({scheduled, retry}) do
  local found = call('ZRANGE', source, 0, -1, 'WITHSCORES')
  for index = 1, #found, 2 do
    local id, score = found[index], tonumber(found[index + 1])
    local exact = tonumber(call('ZSCORE', due, id))
    if not exact or math.ceil(exact) ~= score then exact = math.min(math.max(noted[id] or 0, score - 0.999999), score) end
    -- Where time stands still, a delay begins with each look anew.
    local at = hold and noted[id] or exact - seconds
    local whole = math.ceil(at)
    call('ZADD', source, whole, id)
    if whole > at then call('ZADD', due, string.format('%.6f', at), id) else call('ZREM', due, id) end
    earlier(task_prefix .. id, 'expires', '%.6f', 1)
    earlier(task_prefix .. id, 'first_failed_at', '%.0f', 1)
  end
end
for _, id in ipairs(call('LRANGE', pending, 0, -1)) do
  earlier(task_prefix .. id, 'expires', '%.6f', 1)
  earlier(task_prefix .. id, 'first_failed_at', '%.0f', 1)
  if not hold then earlier(task_prefix .. id, 'pending_since', '%.0f', 1000000000) end
end
for _, group in ipairs(call('SMEMBERS', groups)) do
  for _, id in ipairs(call('ZRANGE', group_prefix .. group, 0, -1)) do
    earlier(task_prefix .. id, 'expires', '%.6f', 1)
    if not hold then call('ZINCRBY', group_prefix .. group, -math.floor(seconds), id) end
  end
end
if call('EXISTS', due) == 1 then call('EXPIRE', due, 7 * 86400) end
if hold then return 0 end
-- A worker that lives extends its leases, whatever the time is: those that end are of workers that are gone, and of Go's.
local gone = {}
for index = 7, 6 + gone_owners do gone[ARGV[index]] = true end
for _, id in ipairs(call('ZRANGE', lease, 0, -1)) do
  local owner = call('HGET', task_prefix .. id, 'owner')
  if not owner or gone[owner] then
    local until_ = tonumber(call('ZSCORE', lease, id))
    -- Ours end half-way through a second, and are known by that.
    local fraction = until_ % 1
    call('ZADD', lease, math.floor(until_ - seconds) + fraction, id)
  end
end
for index = 8, 7 + whole_sets do
  local found = call('ZRANGE', KEYS[index], 0, -1, 'WITHSCORES')
  for at = 1, #found, 2 do call('ZADD', KEYS[index], math.floor(tonumber(found[at + 1]) - seconds), found[at]) end
end
for index = 8 + whole_sets, #KEYS do
  local left = call('PTTL', KEYS[index])
  if left > 0 and left <= seconds * 1000 then call('DEL', KEYS[index]) end
  if left > seconds * 1000 then call('PEXPIRE', KEYS[index], string.format('%.0f', left - seconds * 1000)) end
end
return 0
