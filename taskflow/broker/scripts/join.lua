-- Put one task in the place of the tasks of an aggregation group: all in one step, so none is joined twice or lost.
-- moves:   aggregating -> gone, new -> pending
-- keys:    group_key, groups, pending, joined, task...
-- args:    resent, group, joined_id, message, unique_prefix, item...
-- flags:   allow-oom
-- returns: 1 joined | 2 was joined already (a re-send) | 0 somebody else took one of them: look again
--
-- An item is: id, read (the SHA-1 of its message as it was read): another task may have got the id since.
-- @include release_lock
if redis.call('EXISTS', joined) == 1 then return resent == '1' and 2 or 0 end
for index = item_argv_from, #ARGV, 2 do
  local task = KEYS[task_keys_from + (index - item_argv_from) / 2]
  if not redis.call('ZSCORE', group_key, ARGV[index]) then return 0 end
  if redis.sha1hex(redis.call('HGET', task, 'msg') or '') ~= ARGV[index + 1] then return 0 end
end
local time = redis.call('TIME')
redis.call('HSET', joined, 'msg', message, 'state', 'pending', 'pending_since', time[1] .. string.format('%06d', time[2]) .. '000')
redis.call('LPUSH', pending, joined_id)
for index = item_argv_from, #ARGV, 2 do
  local id, task = ARGV[index], KEYS[task_keys_from + (index - item_argv_from) / 2]
  local fields = redis.call('HMGET', task, 'unique_key', 'msg')
  release_lock(id, fields[1], fields[2])
  redis.call('ZREM', group_key, id)
  redis.call('DEL', task)
end
if redis.call('EXISTS', group_key) == 0 then redis.call('SREM', groups, group) end
return 1
