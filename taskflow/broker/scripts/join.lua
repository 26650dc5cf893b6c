-- Put one task in the place of the tasks of an aggregation group: all in one step, so none is joined twice or lost.
-- moves:   aggregating -> gone, new -> pending
-- keys:    group_key, groups, pending, joined, task...
-- args:    resent, group, joined_id, message, unique_prefix, id...
-- flags:   allow-oom
-- returns: 1 joined | 2 was joined already (a re-send) | 0 somebody else took one of them: look again
-- @include release_lock
if redis.call('EXISTS', joined) == 1 then return resent == '1' and 2 or 0 end
for index = id_argv_from, #ARGV do
  if not redis.call('ZSCORE', group_key, ARGV[index]) then return 0 end
end
local time = redis.call('TIME')
redis.call('HSET', joined, 'msg', message, 'state', 'pending', 'pending_since', time[1] .. string.format('%06d', time[2]) .. '000')
redis.call('LPUSH', pending, joined_id)
for index = id_argv_from, #ARGV do
  local id, task = ARGV[index], KEYS[task_keys_from + index - id_argv_from]
  local fields = redis.call('HMGET', task, 'unique_key', 'msg')
  release_lock(id, fields[1], fields[2])
  redis.call('ZREM', group_key, id)
  redis.call('DEL', task)
end
if redis.call('EXISTS', group_key) == 0 then redis.call('SREM', groups, group) end
return 1
