-- Pause a queue: no worker takes from it until it is resumed.
-- moves:   -
-- keys:    answer, paused
-- args:    resent, whole
-- flags:   allow-oom
-- returns: 1 paused now | 0 it was paused already
--
-- The value is the time, as Go's programs write it (and never read it). With `whole` 1 a word follows: all partitions of the queue
-- are paused, so that one that comes later is not to go on without them. Who pauses by Go's tools pauses one partition.
-- @include replied
local before = redis.pcall('GET', paused)
if before and (whole ~= '1' or (type(before) == 'string' and string.sub(before, -4) == ' all')) then return 0 end
redis.call('SET', paused, redis.call('TIME')[1] .. (whole == '1' and ' all' or ''))
return note(before and 0 or 1)
