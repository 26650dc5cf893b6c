-- Delete completed tasks whose retention has passed.
-- moves:   completed -> gone
-- keys:    completed
-- args:    limit, task_prefix
-- derives: the hash of each expired id
-- flags:   allow-oom
-- returns: how many were deleted
local ids = redis.call('ZRANGE', completed, '-inf', redis.call('TIME')[1], 'BYSCORE', 'LIMIT', 0, tonumber(limit))
for _, id in ipairs(ids) do
  redis.call('DEL', task_prefix .. id)
  redis.call('ZREM', completed, id)
end
return #ids
