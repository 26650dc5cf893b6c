-- Put new tasks into their queue: waiting, for later, or in an aggregation group; each with or without a unique lock.
-- moves:   new -> pending, new -> scheduled, new -> aggregating
-- keys:    pending, scheduled, due, groups, key...
-- args:    resent, item...
-- returns: for each item 1 enqueued | 2 was there already (a re-send) | 0 the id is taken | the id that holds the lock
--
-- An item is: id, message, identity, mode, at, lock_seconds, group. Modes: p now; d in `at` seconds; a at the Unix time `at`.
-- A second letter x: in `at` follow a blank and the time until which it may start, +seconds or a Unix time. A task that may run now
-- and has a group waits in it; one that is for later runs alone then, as in Go.
-- Its keys are its task, then its lock if lock_seconds > 0, then its group's if it has one.
-- `identity` is the number of leading bytes of the message that hold type, payload, id and queue: what a re-send compares.
-- Unlike Go's, a refused id leaves no lock behind (hibiken/asynq#468), since the hash is looked at first.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local since = time[1] .. string.format('%06d', time[2]) .. '000'
local replies, waiting = {}, {}
-- @include later
local key = key_keys_from
for arg = item_argv_from, #ARGV, 7 do
  local id, message, identity, mode, at, ttl, group_name =
    ARGV[arg], ARGV[arg + 1], tonumber(ARGV[arg + 2]), ARGV[arg + 3], ARGV[arg + 4], tonumber(ARGV[arg + 5]), ARGV[arg + 6]
  local task, lock, group = KEYS[key], nil, nil
  key = key + 1
  if ttl > 0 then lock = KEYS[key]; key = key + 1 end
  if group_name ~= '' then group = KEYS[key]; key = key + 1 end
  local expires
  if #mode > 1 then
    local sign
    at, sign, expires = string.match(at, '^(%S*) (%+?)(%S+)$')
    expires = string.format('%.6f', tonumber(expires) + (sign == '+' and now or 0))
    mode = string.sub(mode, 1, 1)
  end
  local start = 0
  if mode == 'd' then start = now + tonumber(at) elseif mode == 'a' then start = tonumber(at) end
  local later = start > now
  local reply = 1
  if redis.call('EXISTS', task) == 1 then
    reply = 0
    -- Whatever has the name, also what is no hash: it takes the id from this task only, not from its neighbours.
    local known = resent == '1' and redis.pcall('HGET', task, 'msg')
    if type(known) == 'string' and string.sub(known, 1, identity) == string.sub(message, 1, identity) then
      reply = 2
      -- Written once more, so that a WAIT behind it waits for what the first copy wrote.
      redis.call('HSET', task, 'msg', known)
    end
  elseif lock then
    if later then ttl = ttl + math.ceil(start) - tonumber(time[1]) end
    if not redis.call('SET', lock, id, 'NX', 'EX', ttl) then
      local holder = redis.pcall('GET', lock)
      if type(holder) ~= 'string' then holder = '' end
      if holder ~= id then reply = holder end
    end
  end
  if reply == 1 then
    if later then
      redis.call('HSET', task, 'msg', message, 'state', 'scheduled')
      enter_later(scheduled, id, start)
    elseif group then
      redis.call('HSET', task, 'msg', message, 'state', 'aggregating', 'group', group_name)
      redis.call('ZADD', group, time[1], id)
      redis.call('SADD', groups, group_name)
    else
      redis.call('HSET', task, 'msg', message, 'state', 'pending', 'pending_since', since)
      waiting[#waiting + 1] = id
    end
    if lock then redis.call('HSET', task, 'unique_key', lock) end
    if expires then redis.call('HSET', task, 'expires', expires) end
  end
  replies[#replies + 1] = reply
end
-- @include push_waiting
tell_soonest()
return replies
