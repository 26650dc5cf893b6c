-- Empty a queue that is to be removed, some tasks at a time.
-- moves:   pending -> gone, scheduled -> gone, retry -> gone, archived -> gone, completed -> gone, aggregating -> gone, active -> gone
-- keys:    answer, pending, active, lease, scheduled, retry, archived, completed, groups, aggregation_sets, paused, outbox, outbox_at
-- args:    resent, force, limit, foreign_grace, task_prefix, group_prefix, unique_prefix
-- derives: the hash and the lock of each task, the groups and the aggregation sets of the queue
-- flags:   allow-oom
-- returns: an Emptied (GO_ON until nothing is left); how many are left; 1 if it was paused for this
--
-- Without force it deletes no task, nor followers of ended tasks that are on their way to other queues. With force it pauses the queue first, so that no worker takes a task meanwhile. A task counts
-- as running until its lease is `foreign_grace` seconds over, unless its hash has no message (Go's dequeue leaves such).
-- @include replied
-- @include release_lock
local budget = tonumber(limit)
local now = tonumber(redis.call('TIME')[1])
local recent = now - tonumber(foreign_grace)
for _, id in ipairs(redis.call('ZRANGE', lease, recent, '+inf', 'BYSCORE', 'LIMIT', 0, budget)) do
  if redis.call('HEXISTS', task_prefix .. id, 'msg') == 1 then return {Emptied.RUNS_TASKS, redis.call('LLEN', active), 0} end
end
local function drain(key, ids, cut)
  for _, id in ipairs(ids) do
    local task = task_prefix .. id
    local fields = redis.call('HMGET', task, 'msg', 'unique_key')
    release_lock(id, fields[2], fields[1])
    redis.call('DEL', task)
  end
  if #ids > 0 then cut(key, #ids) end
  budget = budget - #ids
end
local function cut_list(key, count) redis.call('LTRIM', key, 0, -count - 1) end
local function cut_set(key, count) redis.call('ZREMRANGEBYRANK', key, 0, count - 1) end
local function first(key)
  if budget <= 0 then return {} end
  return redis.call('ZRANGE', key, 0, budget - 1)
end
local function ours(key) return string.sub(key, 1, #group_prefix) == group_prefix end
local stopped = 0
if force ~= '1' then
  local followers = redis.call('HLEN', outbox)
  if followers > 0 then return {Emptied.HAS_FOLLOWERS, followers, 0} end
else
  redis.call('UNLINK', outbox, outbox_at)
  if redis.call('SET', paused, now, 'NX') then stopped = 1 end
  for _, key in ipairs({pending, active}) do
    if budget > 0 then drain(key, redis.call('LRANGE', key, -budget, -1), cut_list) end
  end
  for _, key in ipairs({scheduled, retry, archived, completed}) do drain(key, first(key), cut_set) end
  if redis.call('EXISTS', active) == 0 then redis.call('DEL', lease) end
end
-- A hundred groups and sets at a time. A name of a group or set that does not exist must not keep the queue: it is forgotten.
for _, name in ipairs(redis.call('SRANDMEMBER', groups, 100)) do
  local key = group_prefix .. name
  if force == '1' then drain(key, first(key), cut_set) end
  if redis.call('EXISTS', key) == 0 then redis.call('SREM', groups, name) end
end
for _, key in ipairs(redis.call('ZRANGE', aggregation_sets, 0, 99)) do
  if force == '1' and ours(key) then drain(key, first(key), cut_set) end
  if not ours(key) or redis.call('EXISTS', key) == 0 then redis.call('ZREM', aggregation_sets, key) end
end
local left = redis.call('LLEN', pending) + redis.call('LLEN', active) + redis.call('ZCARD', scheduled) + redis.call('ZCARD', retry)
  + redis.call('ZCARD', archived) + redis.call('ZCARD', completed) + redis.call('SCARD', groups) + redis.call('ZCARD', aggregation_sets)
if force ~= '1' and left > 0 then return {Emptied.HOLDS_TASKS, left, 0} end
-- A repetition would find the queue paused, and could not tell that its first copy did it: so the reply is noted.
if stopped == 1 then note({Emptied.GO_ON, left, 1}) end
return {Emptied.GO_ON, left, stopped}
