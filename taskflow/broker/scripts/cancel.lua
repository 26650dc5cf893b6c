-- Cancel tasks, by id: those that wait are archived, those that run are marked, and whoever runs them is told.
-- moves:   pending -> archived, scheduled -> archived, retry -> archived, aggregating -> archived, active -> archived
-- keys:    answer, pending, active, lease, scheduled, retry, archived, groups, aggregation_sets, task...
-- args:    resent, group_prefix, unique_prefix, task_prefix, channel_prefix, cancels, go_cancels, archive_seconds, archive_size, effort_limit, grace, id...
-- derives: the group and the lock of a task, the aggregation sets of the queue, the hashes of trimmed tasks
-- flags:   allow-oom
-- returns: for each id a Cancelled; for fewer than were given, where `pending` is so long that the others are for another call
--
-- The mark of a task that runs is the field `cancel`: the seconds after which its process is to be killed, or empty: it is not. With it goes
-- `expires`, at a time long ago, which whoever takes a task reads anyhow. So the task is never run again, whatever becomes of its worker: finish.lua
-- and recover.lua archive it where it would live on, and where Go has put it back, the worker that takes it does. Whoever archives it takes the mark
-- away, and so does an order to run it.
-- A worker of ours is told on the channel of its queue, with the lease token: the same id may stand for another task by then. What it does not hear, it
-- reads when it extends its leases. Go's are told on their own channel, and nothing more can be done.
-- @include replied
-- @include places
-- @include release_lock
-- @include holds
local this_second = tonumber(redis.call('TIME')[1])
-- @include cancelled
local replies, trim, changed, effort = {}, false, false, 0
local function tell(id, task, token)
  if token and is_ours(redis.call('ZSCORE', lease, id)) then
    redis.pcall('PUBLISH', cancels, token .. ' ' .. grace .. ' ' .. id)
  else
    redis.call('PUBLISH', go_cancels, id)
  end
  local before = redis.call('HGET', task, 'cancel')
  if not before or grace ~= '' then redis.call('HSET', task, 'cancel', grace) end
  redis.call('HSET', task, 'expires', Cancel.LONG_AGO)
end
for index = id_argv_from, #ARGV do
  local id, task = ARGV[index], KEYS[task_keys_from + index - id_argv_from]
  local fields = redis.call('HMGET', task, 'msg', 'state', 'group', 'unique_key', 'receipt')
  local state, reply = fields[2], Cancelled.ARCHIVED
  if not fields[1] then
    reply = Cancelled.NO_SUCH_TASK
  elseif state == 'active' and held(id) then
    reply = Cancelled.ASKED
    tell(id, task, fields[5])
    changed = true
  elseif state == 'completed' or (state == 'archived' and redis.call('ZSCORE', archived, id)) then
    reply = Cancelled.HAS_ENDED
  elseif state == 'aggregating' and not leave_group(id, fields[3]) and set_of(id) then
    reply = Cancelled.IS_BEING_AGGREGATED
  end
  if reply == Cancelled.ARCHIVED then
    if state == 'pending' then
      redis.call('LREM', pending, 0, id)
      effort = effort + redis.call('LLEN', pending)
    end
    redis.call('ZREM', scheduled, id)
    redis.call('ZREM', retry, id)
    archive_cancelled(id, task, fields[1], fields[4])
    trim = true
  end
  replies[#replies + 1] = reply
  if effort > tonumber(effort_limit) then break end
end
-- @include trim_archived
return (trim or changed) and note(replies) or replies
