-- Where one of these is of a wrong type the call fails here. After the first write it would leave a task that waits nowhere, and a
-- marker that says it was delivered. Needs: pending, scheduled, due.
redis.call('LLEN', pending)
redis.call('ZCARD', scheduled)
redis.call('ZCARD', due)
