-- Give the tasks of stale aggregation sets back to their groups, and forget groups and sets that are empty.
-- moves:   aggregating -> gone
-- keys:    answer, aggregation_sets, groups, orphans
-- args:    resent, limit, task_prefix, group_prefix, name...
-- derives: the hash of each id, the aggregation groups and sets of the queue
-- flags:   allow-oom
-- returns: how many tasks went back, how many ids had none, how many registrations of sets and how many groups were forgotten
--
-- The names are groups that seemed to be empty. The group is entered in `groups` again; Go does not do that, and then no tool shows
-- its tasks. A set belongs to the group that its key names up to the last colon. Callers repeat until nothing is done.
-- @include replied
-- @include read_task
-- @include orphan
local time = redis.call('TIME')
local now = tonumber(time[1])
local budget = tonumber(limit)
local moved, lost, forgotten, gone = 0, 0, 0, 0
local function give_back(set, group)
  local ids = redis.call('ZRANGE', set, 0, budget - 1, 'WITHSCORES')
  local name = string.sub(group, #group_prefix + 1)
  budget = budget - #ids / 2
  for index = 1, #ids, 2 do
    local id = ids[index]
    local task = task_prefix .. id
    if read_task(task, 'msg')[1] then
      redis.call('ZADD', group, ids[index + 1], id)
      redis.call('SADD', groups, name)
      redis.call('HSET', task, 'state', 'aggregating', 'group', name)
      moved = moved + 1
    else
      orphan(id, task)
      lost = lost + 1
    end
    redis.call('ZREM', set, id)
  end
end
local sets = redis.call('ZRANGE', aggregation_sets, 0, 99, 'WITHSCORES')
for index = 1, #sets, 2 do
  local set = sets[index]
  -- A registration may be the name of any key: only those of this queue's groups are touched.
  local group = string.sub(set, 1, #group_prefix) == group_prefix and string.match(set, '^(.*):[^:]*$')
  if not group or #group <= #group_prefix or redis.call('TYPE', set).ok ~= 'zset' then
    redis.call('ZREM', aggregation_sets, set)
    forgotten = forgotten + 1
  elseif tonumber(sets[index + 1]) <= now and budget > 0 then
    pcall(give_back, set, group)
    if redis.call('EXISTS', set) == 0 then
      redis.call('ZREM', aggregation_sets, set)
      forgotten = forgotten + 1
    end
  end
end
for index = name_argv_from, #ARGV do
  if redis.call('EXISTS', group_prefix .. ARGV[index]) == 0 then gone = gone + redis.call('SREM', groups, ARGV[index]) end
end
local done = {moved, lost, forgotten, gone}
return moved + lost + forgotten + gone > 0 and note(done) or done
