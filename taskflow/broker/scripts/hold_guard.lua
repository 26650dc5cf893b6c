-- Take a guard that nobody has, or keep the one that the worker has.
-- moves:   -
-- keys:    guard
-- args:    worker, milliseconds
-- flags:   allow-oom
-- returns: 1 if it is the worker's now, else 0
--
-- What is no text is nobody's: it would keep everybody from the work for ever.
local holder = redis.pcall('GET', guard)
if type(holder) == 'string' and holder ~= worker then return 0 end
redis.call('SET', guard, worker, 'PX', milliseconds)
return 1
