-- Write a worker's record, and the tasks that it runs, for `server ls` and for Go's tools.
-- moves:   -
-- keys:    server, workers
-- args:    info, ttl, entry...
-- flags:   allow-oom
-- returns: 1
--
-- An entry is: task id, WorkerInfo.
redis.call('SETEX', server, ttl, info)
redis.call('DEL', workers)
for index = entry_argv_from, #ARGV, 2 do
  redis.call('HSET', workers, ARGV[index], ARGV[index + 1])
end
redis.call('EXPIRE', workers, ttl)
return 1
