-- Take a guard that nobody has, or hold the one that the caller has.
-- moves:   -
-- keys:    guard
-- args:    owner, milliseconds
-- flags:   allow-oom
-- returns: 1 if it is the caller's now, else 0
--
-- What is no text is nobody's: it would keep everybody from the work for ever.
local holder = redis.pcall('GET', guard)
if type(holder) == 'string' and holder ~= owner then return 0 end
redis.call('SET', guard, owner, 'PX', milliseconds)
return 1
