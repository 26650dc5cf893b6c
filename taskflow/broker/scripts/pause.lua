-- Pause a queue: no worker takes from it until it is resumed.
-- moves:   -
-- keys:    paused
-- args:    -
-- flags:   allow-oom
-- returns: 1 paused now | 0 it was paused already
if redis.call('SET', paused, redis.call('TIME')[1], 'NX') then return 1 end
return 0
