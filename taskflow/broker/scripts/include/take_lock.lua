-- Takes the unique lock of a new task; `reply` is the id of whoever holds it. Needs: id, lock, lock_seconds, at, later, time, reply.
local ttl = tonumber(lock_seconds)
if later then ttl = ttl + math.ceil(at) - tonumber(time[1]) end
if not redis.call('SET', lock, id, 'NX', 'EX', ttl) then
  local holder = redis.pcall('GET', lock)
  if type(holder) ~= 'string' then holder = '' end
  if holder ~= id then reply = holder end
end
