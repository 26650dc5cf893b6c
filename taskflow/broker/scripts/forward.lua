-- Move the tasks that are due from scheduled and retry to pending, or to their aggregation group.
-- moves:   scheduled -> pending, retry -> pending, scheduled -> aggregating, retry -> aggregating
-- keys:    scheduled, retry, pending, groups, orphans
-- args:    limit, task_prefix, group_prefix
-- derives: the hash of each due id, and its group
-- flags:   allow-oom
-- returns: how many were moved, the earliest score that is left or -1, the server's time
--
-- Also registers the group in `groups`, which Go's forwarder forgets: there such tasks are invisible.
-- @include read_task
-- @include orphan
local time = redis.call('TIME')
local since = time[1] .. string.format('%06d', time[2]) .. '000'
local moved, next_due, waiting = 0, -1, {}
for _, source in ipairs({scheduled, retry}) do
  local ids = redis.call('ZRANGE', source, '-inf', time[1], 'BYSCORE', 'LIMIT', 0, tonumber(limit))
  for _, id in ipairs(ids) do
    local task = task_prefix .. id
    local fields = read_task(task, 'msg', 'group')
    if not fields[1] then
      orphan(id, task)
    elseif fields[2] and fields[2] ~= '' then
      redis.call('ZADD', group_prefix .. fields[2], time[1], id)
      redis.call('SADD', groups, fields[2])
      redis.call('HSET', task, 'state', 'aggregating')
    else
      redis.call('HSET', task, 'state', 'pending', 'pending_since', since)
      waiting[#waiting + 1] = id
    end
    redis.call('ZREM', source, id)
  end
  moved = moved + #ids
  local left = redis.call('ZRANGE', source, 0, 0, 'WITHSCORES')
  if left[2] and (next_due < 0 or tonumber(left[2]) < next_due) then next_due = math.floor(tonumber(left[2])) end
end
-- @include push_waiting
return {moved, next_due, time[1] .. '.' .. string.format('%06d', time[2])}
