-- Count a queue's tasks, and say how long the oldest has been waiting.
-- moves:   -
-- keys:    pending, active, lease, scheduled, retry, archived, completed, groups, aggregation_sets, paused, orphans, processed, failed, processed_day, failed_day
-- args:    task_prefix, group_prefix
-- derives: the hashes of the tasks that run next, and the aggregation sets of the queue
-- flags:   no-writes
-- returns: a list of names and values; the time, and `since` in nanoseconds, as text
--
-- The tasks of aggregation groups are counted by `list_groups`, since there may be many groups.
local time = redis.call('TIME')
local in_sets, since = 0, false
for _, key in ipairs(redis.call('ZRANGE', aggregation_sets, 0, 99)) do
  if string.sub(key, 1, #group_prefix) == group_prefix then in_sets = in_sets + redis.call('ZCARD', key) end
end
-- Tasks that Go handed back stand in front and have no time: the oldest time among the next twenty counts.
for _, id in ipairs(redis.call('LRANGE', pending, -20, -1)) do
  local text = redis.pcall('HGET', task_prefix .. id, 'pending_since')
  local value = type(text) == 'string' and tonumber(text)
  if value and (not since or value < tonumber(since)) then since = text end
end
local counts = redis.call('MGET', processed, failed, processed_day, failed_day)
return {
  'time', time[1] .. '.' .. string.format('%06d', time[2]),
  'pending', redis.call('LLEN', pending),
  'active', redis.call('LLEN', active),
  'scheduled', redis.call('ZCARD', scheduled),
  'retry', redis.call('ZCARD', retry),
  'archived', redis.call('ZCARD', archived),
  'completed', redis.call('ZCARD', completed),
  'in_sets', in_sets,
  'groups', redis.call('SCARD', groups),
  'orphans', redis.call('ZCARD', orphans),
  'lease', redis.call('ZCARD', lease),
  'paused', redis.call('EXISTS', paused),
  'processed_total', counts[1] or '0',
  'failed_total', counts[2] or '0',
  'processed', counts[3] or '0',
  'failed', counts[4] or '0',
  'since', since or ''
}
