-- Put followers of ended tasks into their queue, each once however often it is delivered.
-- moves:   new -> pending, new -> scheduled
-- keys:    pending, scheduled, due, key...
-- args:    not_after, once_seconds, item...
-- item:    id, message, at
-- returns: the server's time; then a Delivered for each
--
-- Its keys are its task, then its marker. `at` is the Unix time from which it may run, 0 is now.
-- A follower is told by its id alone: a message that is made anew may differ in the time of its signature. A task of that id is the
-- follower; where it has run and is gone, the marker says for `once_seconds` that it was there.
-- After `not_after` (Unix seconds) nothing is written: whoever delivers so late may be the second, and the marker of the first gone.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local since = time[1] .. string.format('%06d', time[2]) .. '000'
local answer, waiting = {time[1] .. '.' .. string.format('%06d', time[2])}, {}
local late = now > tonumber(not_after)
-- @include later
-- @include sound
local key = key_keys_from
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  local task, marker = KEYS[key], KEYS[key + 1]
  key = key + 2
  local start = tonumber(at)
  local reply = Delivered.DELIVERED
  if redis.call('EXISTS', task, marker) > 0 then
    reply = Delivered.ALREADY_THERE
  elseif late then
    reply = Delivered.TOO_LATE
  else
    redis.call('SET', marker, '1', 'EX', once_seconds)
    if start > now then
      redis.call('HSET', task, 'msg', message, 'state', 'scheduled')
      enter_later(scheduled, id, start)
    else
      redis.call('HSET', task, 'msg', message, 'state', 'pending', 'pending_since', since)
      waiting[#waiting + 1] = id
    end
  end
  answer[#answer + 1] = reply
end
-- @include push_waiting
tell_soonest()
return answer
