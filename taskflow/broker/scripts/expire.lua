-- Delete what is past its time: completed and archived tasks after their retention, and old notes of ids without a task.
-- moves:   completed -> gone, archived -> gone
-- keys:    completed, archived, orphans
-- args:    limit, task_prefix, archive_seconds, orphan_seconds, orphan_size
-- derives: the hash of each expired id
-- flags:   allow-oom
-- returns: how many completed tasks, archived ones, or notes were deleted: whichever are more
--
-- Go deletes archived tasks only when another one is archived; then those with a retention of their own would stay for as long.
local now = tonumber(redis.call('TIME')[1])
local ids = redis.call('ZRANGE', completed, '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(limit))
for _, id in ipairs(ids) do
  redis.call('DEL', task_prefix .. id)
  redis.call('ZREM', completed, id)
end
local failed = redis.call('ZRANGE', archived, '-inf', now - tonumber(archive_seconds), 'BYSCORE', 'LIMIT', 0, tonumber(limit))
for _, id in ipairs(failed) do
  redis.call('DEL', task_prefix .. id)
  redis.call('ZREM', archived, id)
end
local old = redis.call('ZRANGE', orphans, '-inf', now - tonumber(orphan_seconds), 'BYSCORE', 'LIMIT', 0, tonumber(limit))
local surplus = redis.call('ZCARD', orphans) - tonumber(orphan_size)
local cut = math.min(math.max(#old, surplus, 0), tonumber(limit))
if cut > 0 then redis.call('ZREMRANGEBYRANK', orphans, 0, cut - 1) end
return math.max(#ids, #failed, cut)
