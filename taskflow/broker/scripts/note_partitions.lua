-- Note over how many partitions a client spreads a queue's keys, and say over how many others do.
-- moves:   -
-- keys:    partitions
-- args:    count, seconds
-- returns: for each number in use: the number, for how many seconds it has been
--
-- The name of a field is a number of partitions. Its value says since when clients spread keys by that number, and until when a lock
-- may be held where that number puts it. The first client that notes a number notes 1 as well: clients that knew of no partitions
-- have put their locks where 1 puts them, and may hold them for a day at least.
local a_day = 86400
local now = tonumber(redis.call('TIME')[1])
local noted = redis.call('HGETALL', partitions)
local replies = {}
local since, ends_at = now, now + tonumber(seconds)
local last = ends_at
for index = 1, #noted, 2 do
  local begun, over = string.match(noted[index + 1], '^(%d+) (%d+)$')
  begun, over = tonumber(begun), tonumber(over)
  if not begun or over < now then
    redis.call('HDEL', partitions, noted[index])
  elseif noted[index] == count then
    since = begun
    ends_at = math.max(ends_at, over)
  else
    last = math.max(last, over)
    replies[#replies + 1] = tonumber(noted[index])
    replies[#replies + 1] = now - begun
  end
end
if #noted == 0 and count ~= '1' then
  last = math.max(last, now + a_day)
  redis.call('HSET', partitions, '1', '0 ' .. string.format('%d', last))
  replies[#replies + 1] = 1
  replies[#replies + 1] = now
end
redis.call('HSET', partitions, count, string.format('%d %d', since, ends_at))
redis.call('EXPIREAT', partitions, math.max(last, ends_at))
replies[#replies + 1] = tonumber(count)
replies[#replies + 1] = now - since
return replies
