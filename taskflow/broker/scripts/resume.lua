-- Resume a queue: workers take from it again.
-- moves:   -
-- keys:    answer, paused
-- args:    resent
-- flags:   allow-oom
-- returns: 1 resumed now | 0 it was not paused
-- @include replied
if redis.call('DEL', paused) == 1 then return note(1) end
return 0
