-- Write down how attempts ended: done, completed, retried, archived, or handed back.
-- moves:   active -> gone, active -> completed, active -> retry, active -> archived, active -> pending, active -> scheduled
-- keys:    never, active, lease, pending, scheduled, retry, due, archived, completed, processed, processed_day, failed, failed_day, outbox, outbox_at, key...
-- args:    resent, task_prefix, unique_prefix, channel_prefix, archive_seconds, archive_size, batches, word...
-- derives: the hashes of tasks that are simply done, and of archived tasks that are trimmed; the locks of those that are cancelled
-- flags:   allow-oom
-- returns: Written.WRITTEN: all are; or a Written for each task
--
-- First come the tasks that are simply done, as most are, in so many `batches`: the lease token of each, and the ids of its tasks, a
-- list in msgpack, since a word for each would cost more than what is done with it; the hashes of these are no keys, which are half of
-- what would have to be sent. Then come the others, each of them as: id, verb, facts, message, result, and the name and the message of
-- each follower.
-- The keys are these others' tasks in the same order, a task's lock behind it if its facts have `lock`. `never` never exists: so a
-- node of whose slot a part has moved away refuses the call before it has written, and does not take a task that it cannot see for
-- one that is gone.
-- The facts are a map in msgpack, so that a new one is no new position: `token`, the lease token, and of these what is not empty or
-- zero: `delay`, `lock`, `error`, `attempt` (an attempt that failed, as it is kept), `keep` (seconds for which an archived task is kept;
-- 0: not at all), `snoozed` (the task has asked for that), `then` (of each follower: queue, id, at), `said` (the channel of
-- whoever watches the task, and what it has said that is not written yet: see report.lua).
-- Followers go to the outbox in this very step: they follow if, and only if, this outcome counts.
-- `delay`, in seconds, is how long a completed task is kept, or until the next attempt. Of what is handed back it is
-- 1 if it had started.
-- For what had started and is handed back it does not matter any more until when it may start. What had not has waited since it came,
-- and goes on saying so.
-- What would be run again and has the mark of one that is cancelled (see cancel.lua) is archived, whatever the outcome says.
-- @include holds
-- @include release_lock
local time = redis.call('TIME')
local this_second = tonumber(time[1])
local now = this_second + tonumber(time[2]) / 1000000
local since = time[1] .. string.format('%06d', time[2]) .. '000'
-- @include later
-- @include said
-- @include keep_attempt
-- @include cancelled
local processed_count, failed_count, trim = 0, 0, false
local state_after = {
  [Verb.COMPLETE] = 'completed', [Verb.RETRY] = 'retry', [Verb.SNOOZE] = 'scheduled', [Verb.ARCHIVE] = 'archived',
  [Verb.ARCHIVE_RAW] = 'archived', [Verb.REQUEUE] = 'pending', [Verb.REQUEUE_CRASHED] = 'pending', [Verb.PUT_BACK] = 'scheduled',
}
local goes_on = {
  [Verb.RETRY] = true, [Verb.SNOOZE] = true, [Verb.REQUEUE] = true, [Verb.REQUEUE_CRASHED] = true, [Verb.PUT_BACK] = true,
}
local call, try = redis.call, redis.pcall
local key, arg = key_keys_from, word_argv_from
-- Of tasks that are done the id and the hash, which are deleted together at the end: a call for each would cost the server more than
-- the work in it. Until then `is_done` has their ids.
local done, gone, is_done, done_count = {}, {}, {}, 0
local replies, reply_count = {}, 0
for _ = 1, tonumber(batches) do
  local token, ids = ARGV[arg], cmsgpack.unpack(ARGV[arg + 1])
  local scores = call('ZMSCORE', lease, unpack(ids))
  for at = 1, #ids do
    local id = ids[at]
    local task = task_prefix .. id
    local fields = try('HMGET', task, 'state', 'receipt')
    local reply = Written.REFUSED
    if is_done[id] then
      if resent == '1' then reply = Written.ALREADY_WRITTEN end
    elseif holds(token, fields[1], fields[2], scores[at]) then
      reply = Written.WRITTEN
      done_count = done_count + 1
      done[done_count], gone[done_count], is_done[id] = id, task, true
    elseif resent == '1' and not fields[1] then
      reply = Written.ALREADY_WRITTEN
    end
    reply_count = reply_count + 1
    replies[reply_count] = reply
  end
  arg = arg + 2
end
local written = done_count
while arg <= #ARGV do
  local id, verb, facts, message, result = ARGV[arg], ARGV[arg + 1], cmsgpack.unpack(ARGV[arg + 2]), ARGV[arg + 3], ARGV[arg + 4]
  local delay, followers, task, lock = facts.delay or 0, facts['then'] or {}, KEYS[key], nil
  local follower_arg = arg + 5
  arg, key = follower_arg + 2 * #followers, key + 1
  if facts.lock then lock = KEYS[key]; key = key + 1 end
  local fields = is_done[id] and {} or try('HMGET', task, 'state', 'receipt', 'cancel')
  local reply = Written.REFUSED
  if holds(facts.token, fields[1], fields[2], call('ZSCORE', lease, id)) then
    reply = Written.WRITTEN
  elseif resent == '1' then
    if verb == Verb.DONE or facts.keep == 0 then
      if not fields[1] then reply = Written.ALREADY_WRITTEN end
    elseif fields[1] == state_after[verb] and not fields[2] and (message == '' or call('HGET', task, 'msg') == message) then
      reply = Written.ALREADY_WRITTEN
    elseif goes_on[verb] and fields[1] == 'archived' and not fields[2] and call('HGET', task, 'error') == Cancel.ERROR then
      reply = Written.CANCELLED
    end
  end
  if reply == Written.WRITTEN and fields[3] and goes_on[verb] then
    reply = Written.CANCELLED
    redis.call('LREM', active, -1, id)
    redis.call('ZREM', lease, id)
    local kept = redis.call('HMGET', task, 'msg', 'unique_key')
    if message ~= '' then kept[1] = message end
    if facts.attempt then keep_attempt(task, facts.attempt) end
    archive_cancelled(id, task, kept[1], kept[2])
    processed_count = processed_count + 1
    failed_count = failed_count + 1
    trim = true
  elseif reply == Written.WRITTEN then
    written = written + 1
    -- First of all: should the script fail in what comes then, the outcome is sent again, and finds the task as it was.
    for _, follower in ipairs(followers) do
      local name, its_message = ARGV[follower_arg], ARGV[follower_arg + 1]
      redis.call('ZADD', outbox_at, now, name)
      redis.call('HSET', outbox, name, cmsgpack.pack({follower[1], follower[2], string.format('%.6f', follower[3]), its_message}))
      follower_arg = follower_arg + 2
    end
    if facts.said then
      local channel, reports = facts.said[1], facts.said[2]
      -- Of a task that is not kept nothing is written: whoever watches it hears what it has said last, and nobody else ever will.
      if verb == Verb.DONE then
        redis.pcall('SPUBLISH', channel, cmsgpack.pack(reports))
      elseif say(task, facts.token, reports) then
        redis.pcall('SPUBLISH', channel, '')
      end
    end
    if verb == Verb.DONE then
      done_count = done_count + 1
      done[done_count], gone[done_count], is_done[id] = id, task, true
    else
      redis.call('LREM', active, -1, id)
      redis.call('ZREM', lease, id)
      if verb == Verb.REQUEUE and delay == 0 then
        redis.call('HDEL', task, 'owner', 'receipt')
      elseif verb == Verb.REQUEUE or verb == Verb.REQUEUE_CRASHED then
        redis.call('HDEL', task, 'owner', 'receipt', 'expires')
      elseif verb == Verb.PUT_BACK then
        redis.call('HDEL', task, 'owner', 'receipt', 'pending_since')
      else
        redis.call('HDEL', task, 'owner', 'receipt', 'pending_since', 'expires')
      end
      if fields[3] then redis.call('HDEL', task, 'cancel') end
      if message ~= '' then redis.call('HSET', task, 'msg', message) end
      if result ~= '' then redis.call('HSET', task, 'result', result) end
      redis.call('HSET', task, 'state', state_after[verb])
      if facts.attempt then keep_attempt(task, facts.attempt) end
      if verb == Verb.COMPLETE then
        redis.call('ZADD', completed, this_second + delay, id)
        processed_count = processed_count + 1
      elseif verb == Verb.RETRY then
        enter_later(retry, id, now + delay)
        redis.call('HSETNX', task, 'first_failed_at', time[1])
        processed_count = processed_count + 1
        failed_count = failed_count + 1
      elseif verb == Verb.SNOOZE then
        enter_later(scheduled, id, now + delay)
        if facts.snoozed then redis.call('HINCRBY', task, 'snoozes', 1) end
        -- As for a task that is enqueued for later: the lock lasts from when it may run.
        if lock and redis.pcall('GET', lock) == id then
          local left = redis.call('PTTL', lock)
          if left > 0 then redis.call('PEXPIRE', lock, left + math.ceil(delay * 1000)) end
        end
      elseif verb == Verb.ARCHIVE or verb == Verb.ARCHIVE_RAW then
        if facts.error then redis.call('HSET', task, 'error', facts.error) end
        if facts.keep == 0 then
          redis.call('DEL', task)
        else
          redis.call('ZADD', archived, this_second - (facts.keep and tonumber(archive_seconds) - facts.keep or 0), id)
        end
        processed_count = processed_count + 1
        failed_count = failed_count + 1
        trim = true
      elseif verb == Verb.PUT_BACK then
        enter_later(scheduled, id, now + delay)
        redis.call('HINCRBY', task, 'unknown', 1)
      else
        if verb == Verb.REQUEUE_CRASHED then redis.call('HINCRBY', task, 'crashes', 1) end
        redis.call('HSETNX', task, 'pending_since', since)
        redis.call('RPUSH', pending, id)
      end
    end
    if verb == Verb.DONE or verb == Verb.COMPLETE or verb == Verb.ARCHIVE then
      if lock and redis.pcall('GET', lock) == id then redis.call('DEL', lock) end
    end
    if verb == Verb.COMPLETE or verb == Verb.ARCHIVE or verb == Verb.ARCHIVE_RAW then
      redis.call('SPUBLISH', channel_prefix .. id, verb)
    end
  end
  reply_count = reply_count + 1
  replies[reply_count] = reply
end
tell_soonest()
if done_count > 0 then
  -- The tail of `active` has the oldest, and tasks end roughly in the order in which they were taken. So as much as is done is cut
  -- off there, what is not done is put back, and only what stood further on is looked for.
  local cut = call('RPOP', active, done_count) or {}
  local kept, kept_count, missed = {}, 0, done_count
  for index = #cut, 1, -1 do
    local id = cut[index]
    if is_done[id] then
      is_done[id], missed = nil, missed - 1
    else
      kept_count = kept_count + 1
      kept[kept_count] = id
    end
  end
  if kept_count > 0 then redis.call('RPUSH', active, unpack(kept)) end
  if missed > 0 then
    for index = 1, done_count do
      local id = done[index]
      if is_done[id] then redis.call('LREM', active, -1, id) end
    end
  end
  redis.call('ZREM', lease, unpack(done))
  redis.call('DEL', unpack(gone))
end
local count, total, day = processed_count + done_count, processed, processed_day
-- @include count
count, total, day = failed_count, failed, failed_day
-- @include count
-- @include trim_archived
if written == reply_count then return Written.WRITTEN end
return replies
