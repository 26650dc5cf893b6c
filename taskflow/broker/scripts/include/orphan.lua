-- Notes an id without a task, and deletes what is left of its hash without a message. Needs: orphans.
local function orphan(id, task)
  redis.call('ZADD', orphans, redis.call('TIME')[1], id)
  if redis.call('TYPE', task).ok == 'hash' and redis.call('HEXISTS', task, 'msg') == 0 then redis.call('UNLINK', task) end
end
