-- Delete what is past its time: completed tasks after their retention, and old notes of ids without a task.
-- moves:   completed -> gone
-- keys:    completed, orphans
-- args:    limit, task_prefix, orphan_seconds, orphan_size
-- derives: the hash of each expired id
-- flags:   allow-oom
-- returns: how many tasks, or notes, were deleted: whichever are more
local now = tonumber(redis.call('TIME')[1])
local ids = redis.call('ZRANGE', completed, '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(limit))
for _, id in ipairs(ids) do
  redis.call('DEL', task_prefix .. id)
  redis.call('ZREM', completed, id)
end
local old = redis.call('ZRANGE', orphans, '-inf', now - tonumber(orphan_seconds), 'BYSCORE', 'LIMIT', 0, tonumber(limit))
local surplus = redis.call('ZCARD', orphans) - tonumber(orphan_size)
local cut = math.min(math.max(#old, surplus, 0), tonumber(limit))
if cut > 0 then redis.call('ZREMRANGEBYRANK', orphans, 0, cut - 1) end
return math.max(#ids, cut)
