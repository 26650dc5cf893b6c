-- Put one task in the place of the tasks of an aggregation group: all in one step, so none is joined twice or lost.
-- moves:   aggregating -> gone, new -> pending
-- keys:    group_key, groups, pending, joined, task...
-- args:    resent, group, joined_id, message, unique_prefix, item...
-- item:    id, read
-- flags:   allow-oom
-- returns: a Joined; CHANGED: look again
--
-- `read` is the SHA-1 of its message as it was read: another task may have got the id since.
-- @include release_lock
if redis.call('EXISTS', joined) == 1 then return resent == '1' and Joined.ALREADY_JOINED or Joined.CHANGED end
local function task_of(arg) return KEYS[task_keys_from + (arg - item_argv_from) / item_size] end
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  if not redis.call('ZSCORE', group_key, id) then return Joined.CHANGED end
  if redis.sha1hex(redis.call('HGET', task_of(arg), 'msg') or '') ~= read then return Joined.CHANGED end
end
local time = redis.call('TIME')
redis.call('HSET', joined, 'msg', message, 'state', 'pending', 'pending_since', time[1] .. string.format('%06d', time[2]) .. '000')
redis.call('LPUSH', pending, joined_id)
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  local task = task_of(arg)
  local fields = redis.call('HMGET', task, 'unique_key', 'msg')
  release_lock(id, fields[1], fields[2])
  redis.call('ZREM', group_key, id)
  redis.call('DEL', task)
end
if redis.call('EXISTS', group_key) == 0 then redis.call('SREM', groups, group) end
return Joined.JOINED
