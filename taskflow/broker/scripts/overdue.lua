-- Give the followers that lie in the outbox for too long, whoever should have delivered them.
-- moves:   -
-- keys:    outbox, outbox_at
-- args:    overdue_seconds, limit, most_bytes, away...
-- away:    queue, seconds
-- flags:   allow-oom
-- returns: the server's time; how many were looked at; then name, queue, id, at, message of each that is given
--
-- Each that was looked at is overdue again only after `overdue_seconds` more, so that not all workers deliver the same, and a lost
-- reply costs nothing but that time. What is for a queue that is `away` is not given, and not looked at again for so many seconds.
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local answer = {time[1] .. '.' .. string.format('%06d', time[2]), 0}
local pauses = {}
for arg = away_argv_from, #ARGV, away_size do
  -- @read away arg
  pauses[queue] = tonumber(seconds)
end
local bytes = 0
local overdue = now - tonumber(overdue_seconds)
for _, name in ipairs(redis.call('ZRANGE', outbox_at, '-inf', overdue, 'BYSCORE', 'LIMIT', 0, tonumber(limit))) do
  local pause = pauses[string.match(name, '^[^%z]*')]
  if pause then
    redis.call('ZADD', outbox_at, overdue + pause, name)
  else
    local follower = redis.call('HGET', outbox, name)
    if not follower then
      redis.call('ZREM', outbox_at, name)
    else
      if bytes >= tonumber(most_bytes) then break end
      bytes = bytes + #follower
      redis.call('ZADD', outbox_at, now, name)
      answer[#answer + 1] = name
      for _, part in ipairs(cmsgpack.unpack(follower)) do answer[#answer + 1] = part end
    end
  end
  answer[2] = answer[2] + 1
end
return answer
