-- Put tasks from an outbox outside the server (a table of somebody's database) into their queue, each once however often it comes.
-- moves:   new -> pending, new -> scheduled, new -> aggregating
-- keys:    pending, scheduled, due, groups, key...
-- args:    not_after, once_seconds, token, item...
-- item:    id, message, start_at, expires_at, lock_seconds, group
-- returns: the server's time; then for each item an Enqueued, a Delivered.TOO_LATE, or the id that holds the lock
--
-- The keys of an item are its task, its marker, then its lock if lock_seconds > 0, then its group's if it has one. The rest is as in
-- `enqueue`.
-- An item is told by its marker: while that lives, whoever brings the item again changes nothing, even if the task has run and is gone.
-- It holds the token of the call that wrote it, so that a call which is sent again says what its first copy did.
-- A task of this id without the marker is somebody else's, and keeps the item out.
-- After `not_after` (Unix seconds) nothing is written: whoever comes so late may be the second, and the marker of the first gone.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local since = time[1] .. string.format('%06d', time[2]) .. '000'
local answer, waiting = {time[1] .. '.' .. string.format('%06d', time[2])}, {}
local late = now > tonumber(not_after)
-- @include later
-- @include moment
-- @include sound
redis.call('SCARD', groups)
local look = key_keys_from
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  redis.call('STRLEN', KEYS[look + 1])
  look = look + 2
  if lock_seconds ~= '0' then redis.call('STRLEN', KEYS[look]); look = look + 1 end
  if group ~= '' then redis.call('ZCARD', KEYS[look]); look = look + 1 end
end
local key = key_keys_from
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  local task, marker, lock, group_key = KEYS[key], KEYS[key + 1], nil, nil
  key = key + 2
  if lock_seconds ~= '0' then lock = KEYS[key]; key = key + 1 end
  if group ~= '' then group_key = KEYS[key]; key = key + 1 end
  local at = start_at ~= '' and moment(start_at) or 0
  local later = at > now
  local reply = Enqueued.CREATED
  local by = redis.call('GET', marker)
  if by then
    reply = Enqueued.ALREADY_THERE
    -- Written once more, so that a WAIT behind it waits for what the first copy wrote.
    redis.call('SET', marker, by, 'EX', once_seconds)
  elseif late then
    reply = Delivered.TOO_LATE
  elseif redis.call('EXISTS', task) == 1 then
    reply = Enqueued.ID_TAKEN
  elseif lock then
-- @include take_lock
  end
  if reply == Enqueued.CREATED then
    redis.call('SET', marker, token, 'EX', once_seconds)
-- @include put_new
  elseif reply == Enqueued.ALREADY_THERE and by == token then
    reply = Enqueued.CREATED
  end
  answer[#answer + 1] = reply
end
-- @include push_waiting
tell_soonest()
return answer
