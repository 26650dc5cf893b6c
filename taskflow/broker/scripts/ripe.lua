-- Read the tasks of an aggregation group that are to be joined now.
-- moves:   -
-- keys:    group_key, groups, orphans
-- args:    group, grace, max_delay, max_size, limit, task_prefix
-- derives: the hash of each id in the group
-- flags:   allow-oom
-- returns: id and message of each task, oldest first; nothing while the group is not ripe
--
-- Ripe is a group when the first of these holds (Asynq's rules): it has max_size tasks; its oldest has waited max_delay seconds;
-- nothing was added for grace seconds. 0 switches the first two off.
-- @include read_task
-- @include orphan
local now = tonumber(redis.call('TIME')[1])
local size = redis.call('ZCARD', group_key)
if size == 0 then
  redis.call('SREM', groups, group)
  return {}
end
local oldest = tonumber(redis.call('ZRANGE', group_key, 0, 0, 'WITHSCORES')[2])
local newest = tonumber(redis.call('ZRANGE', group_key, -1, -1, 'WITHSCORES')[2])
local full = tonumber(max_size) > 0 and size >= tonumber(max_size)
local old = tonumber(max_delay) > 0 and oldest <= now - tonumber(max_delay)
local quiet = newest <= now - tonumber(grace)
if not (full or old or quiet) then return {} end
local count = tonumber(limit)
if tonumber(max_size) > 0 and tonumber(max_size) < count then count = tonumber(max_size) end
local answer = {}
for _, id in ipairs(redis.call('ZRANGE', group_key, 0, count - 1)) do
  local task = task_prefix .. id
  local fields = read_task(task, 'msg')
  if fields[1] then
    answer[#answer + 1] = id
    answer[#answer + 1] = fields[1]
  else
    orphan(id, task)
    redis.call('ZREM', group_key, id)
  end
end
return answer
