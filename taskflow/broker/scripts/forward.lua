-- Move the tasks that are due from scheduled and retry to pending, or to their aggregation group.
-- moves:   scheduled -> pending, retry -> pending, scheduled -> aggregating, retry -> aggregating
-- keys:    scheduled, retry, due, pending, groups, orphans
-- args:    limit, task_prefix, group_prefix
-- derives: the hash of each due id, and its group
-- flags:   allow-oom
-- returns: how many were looked at, the earliest time that is left (Unix seconds) or nothing, the server's time
--
-- Go's programs move a task at the whole second that is its score in `scheduled` or `retry`; we move it at the exact time that is its
-- score in `due`, if it stands there. An entry of `due` is out of date if the task does not wait for that second any more: somebody
-- has run it by hand, deleted it, or put it off. Then only the entry is removed.
-- A task that goes to its group has the group entered in `groups`. Go's forwarder does not, and then no tool shows the task.
-- @include read_task
-- @include orphan
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local since = time[1] .. string.format('%06d', time[2]) .. '000'
local moved, next_due_at, waiting = 0, false, {}
local sources = {scheduled = scheduled, retry = retry}
local function move(source, id, task, group)
  if group and group ~= '' then
    redis.call('ZADD', group_prefix .. group, time[1], id)
    redis.call('SADD', groups, group)
    redis.call('HSET', task, 'state', 'aggregating')
  else
    redis.call('HSET', task, 'state', 'pending', 'pending_since', since)
    waiting[#waiting + 1] = id
  end
  redis.call('ZREM', source, id)
end
local function first_of(key)
  return tonumber(redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')[2])
end
local function forward_exact()
  local exact = redis.call('ZRANGE', due, '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(limit), 'WITHSCORES')
  for index = 1, #exact, 2 do
    local id, task = exact[index], task_prefix .. exact[index]
    local fields = read_task(task, 'msg', 'group', 'state')
    local source = fields[1] and sources[fields[3]]
    if source and tonumber(redis.call('ZSCORE', source, id)) == math.ceil(tonumber(exact[index + 1])) then
      move(source, id, task, fields[2])
    end
    redis.call('ZREM', due, id)
    moved = moved + 1
  end
end
local function forward_whole(source)
  local ids = redis.call('ZRANGE', source, '-inf', time[1], 'BYSCORE', 'LIMIT', 0, tonumber(limit))
  for _, id in ipairs(ids) do
    local task = task_prefix .. id
    local fields = read_task(task, 'msg', 'group')
    if fields[1] then
      move(source, id, task, fields[2])
    else
      orphan(id, task)
      redis.call('ZREM', source, id)
    end
  end
  moved = moved + #ids
end
-- Nothing is due nearly always, and this is run for every queue each second: so it is asked first whether anything waits at all, and
-- what comes first in a set says whether it is searched. It is looked at again after that.
local sets = redis.call('EXISTS', due, scheduled, retry) > 0 and {due, scheduled, retry} or {}
for _, key in ipairs(sets) do
  local first = first_of(key)
  if first and first <= now then
    if key == due then forward_exact() else forward_whole(key) end
    first = first_of(key)
  end
  if first and not (next_due_at and next_due_at <= first) then next_due_at = first end
end
-- @include push_waiting
return {moved, next_due_at and string.format('%.6f', next_due_at) or '', time[1] .. '.' .. string.format('%06d', time[2])}
