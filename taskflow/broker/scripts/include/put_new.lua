-- Writes a new task: for later, into its group, or among those that are pushed when all are written. Needs: task, id, message, at, later,
-- lock, group, group_key, expires_at, time, since, waiting, and the includes later and moment.
if later then
  redis.call('HSET', task, 'msg', message, 'state', 'scheduled')
  enter_later(scheduled, id, at)
elseif group_key then
  redis.call('HSET', task, 'msg', message, 'state', 'aggregating', 'group', group)
  redis.call('ZADD', group_key, time[1], id)
  redis.call('SADD', groups, group)
else
  redis.call('HSET', task, 'msg', message, 'state', 'pending', 'pending_since', since)
  waiting[#waiting + 1] = id
end
if lock then redis.call('HSET', task, 'unique_key', lock) end
if expires_at ~= '' then redis.call('HSET', task, 'expires', string.format('%.6f', moment(expires_at))) end
