-- Put new tasks into their queue: waiting, for later, or in an aggregation group; each with or without a unique lock.
-- moves:   new -> pending, new -> scheduled, new -> aggregating
-- keys:    pending, scheduled, due, groups, key...
-- args:    resent, item...
-- item:    id, message, identity, start_at, expires_at, lock_seconds, group
-- returns: for each item an Enqueued, or the id that holds the lock
--
-- `start_at` is when it may run, `expires_at` until when it may start: a Unix time, or + and a number of seconds from now; empty: now,
-- and for ever. A task that may run now and has a group waits in it; one that is for later runs alone then, as in Go.
-- The keys of an item are its task, then its lock if lock_seconds > 0, then its group's if it has one.
-- `identity` is the number of leading bytes of the message that hold type, payload, id and queue: what a re-send compares.
-- Unlike Go's, a refused id leaves no lock behind (hibiken/asynq#468), since the hash is looked at first.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local since = time[1] .. string.format('%06d', time[2]) .. '000'
local replies, waiting = {}, {}
-- @include later
-- @include moment
local key = key_keys_from
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  local task, lock, group_key = KEYS[key], nil, nil
  key = key + 1
  if lock_seconds ~= '0' then lock = KEYS[key]; key = key + 1 end
  if group ~= '' then group_key = KEYS[key]; key = key + 1 end
  local at = start_at ~= '' and moment(start_at) or 0
  local later = at > now
  local reply = Enqueued.CREATED
  if redis.call('EXISTS', task) == 1 then
    reply = Enqueued.ID_TAKEN
    -- The key may hold something else than a hash. That refuses this task, and must not fail the call for the others.
    local known = resent == '1' and redis.pcall('HGET', task, 'msg')
    if type(known) == 'string' and string.sub(known, 1, tonumber(identity)) == string.sub(message, 1, tonumber(identity)) then
      reply = Enqueued.ALREADY_THERE
      -- Written once more, so that a WAIT behind it waits for what the first copy wrote.
      redis.call('HSET', task, 'msg', known)
    end
  elseif lock then
-- @include take_lock
  end
  if reply == Enqueued.CREATED then
-- @include put_new
  end
  replies[#replies + 1] = reply
end
-- @include push_waiting
tell_soonest()
return replies
