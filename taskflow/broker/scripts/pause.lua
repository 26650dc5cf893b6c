-- Pause a queue: no worker takes from it until it is resumed.
-- moves:   -
-- keys:    answer, paused
-- args:    resent
-- flags:   allow-oom
-- returns: 1 paused now | 0 it was paused already
-- @include replied
if redis.call('SET', paused, redis.call('TIME')[1], 'NX') then return note(1) end
return 0
