-- Delete what a removed queue has left: counters, locks, lost hashes, our own keys.
-- moves:   -
-- keys:    pending, active, scheduled, retry, archived, completed, groups, aggregation_sets, outbox, key...
-- args:    -
-- flags:   allow-oom
-- returns: how many keys were deleted, or Emptied.HOLDS_TASKS: the queue does again, and nothing was deleted
if redis.call('EXISTS', pending, active, scheduled, retry, archived, completed, groups, aggregation_sets, outbox) > 0 then return Emptied.HOLDS_TASKS end
local deleted = 0
for index = key_keys_from, #KEYS do deleted = deleted + redis.call('UNLINK', KEYS[index]) end
return deleted
