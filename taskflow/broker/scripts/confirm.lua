-- Take followers out of the outbox that are where they belong.
-- moves:   -
-- keys:    outbox, outbox_at
-- args:    name...
-- flags:   allow-oom
-- returns: how many were there
local confirmed = 0
for arg = name_argv_from, #ARGV do
  redis.call('ZREM', outbox_at, ARGV[arg])
  confirmed = confirmed + redis.call('HDEL', outbox, ARGV[arg])
end
return confirmed
