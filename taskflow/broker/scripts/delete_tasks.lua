-- Delete tasks that are not running, by id, wherever they are, and release their unique locks.
-- moves:   pending -> gone, scheduled -> gone, retry -> gone, archived -> gone, completed -> gone, aggregating -> gone, active -> gone
-- keys:    answer, pending, active, lease, scheduled, retry, archived, completed, groups, aggregation_sets, orphans, task...
-- args:    resent, group_prefix, unique_prefix, only_state, id...
-- derives: the group and the lock of a task, and the aggregation sets of the queue
-- flags:   allow-oom
-- returns: for each id a Moved
--
-- With `only_state` one in another state is left where it is: it has moved on since somebody chose it.
--
-- Also deletes what is no task any more: an id that is listed without a hash, and a hash without a message, which Go's
-- dequeue leaves as active for ever.
-- @include replied
-- @include places
-- @include release_lock
local replies, changed = {}, false
for index = id_argv_from, #ARGV do
  local id, task = ARGV[index], KEYS[task_keys_from + index - id_argv_from]
  local fields = redis.call('HMGET', task, 'msg', 'state', 'group', 'unique_key')
  local state, reply = fields[2], Moved.MOVED
  if fields[1] and state == 'active' and held(id) then
    reply = Moved.IS_ACTIVE
  elseif only_state ~= '' and state ~= only_state then
    reply = Moved.IS_ELSEWHERE
  else
    local found = redis.call('ZREM', scheduled, id) + redis.call('ZREM', retry, id) + redis.call('ZREM', archived, id)
      + redis.call('ZREM', completed, id) + redis.call('ZREM', orphans, id)
    if not fields[1] then
      found = found + redis.call('LREM', active, 0, id) + redis.call('ZREM', lease, id)
    end
    if not fields[1] or state == 'pending' then found = found + redis.call('LREM', pending, 0, id) end
    if state == 'aggregating' and not leave_group(id, fields[3]) then
      local set = set_of(id)
      if set then
        redis.call('ZREM', set, id)
        if redis.call('EXISTS', set) == 0 then redis.call('ZREM', aggregation_sets, set) end
      end
    end
    release_lock(id, fields[4], fields[1])
    if found + redis.call('DEL', task) > 0 then changed = true else reply = Moved.NO_SUCH_TASK end
  end
  replies[#replies + 1] = reply
end
return changed and note(replies) or replies
