-- Write a worker's record, and the tasks that it runs, for `server ls` and for Go's tools.
-- moves:   -
-- keys:    server, workers
-- args:    info, ttl, entry...
-- entry:   task_id, worker_info
-- flags:   allow-oom
-- returns: 1
redis.call('SETEX', server, ttl, info)
redis.call('DEL', workers)
for arg = entry_argv_from, #ARGV, entry_size do
  -- @read entry arg
  redis.call('HSET', workers, task_id, worker_info)
end
redis.call('EXPIRE', workers, ttl)
return 1
