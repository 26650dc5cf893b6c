-- Write down how attempts ended: done, completed, retried, archived, or handed back.
-- moves:   active -> gone, active -> completed, active -> retry, active -> archived, active -> pending, active -> scheduled
-- keys:    active, lease, pending, scheduled, retry, due, archived, completed, processed, processed_day, failed, failed_day, outbox, outbox_at, key...
-- args:    resent, task_prefix, channel_prefix, archive_seconds, archive_size, batches, word...
-- derives: the hashes of archived tasks that are trimmed
-- flags:   allow-oom
-- returns: Written.WRITTEN: all are; or a Written for each task
--
-- First come the tasks that are simply done, as most are, in so many `batches`: the lease token of each, the number of its tasks,
-- their ids. Then come the others, each of them as: id, verb, facts, message, result, and the name and the message of each follower.
-- The keys are the tasks in the same order, a task's lock behind it if its facts have `lock`.
-- The facts are a map in msgpack, so that a new one is no new position: `token`, the lease token, and of these what is not empty or
-- zero: `delay`, `lock`, `error`, `attempt` (an attempt that failed: at, seconds, worker, error), `then` (of each follower: queue, id, at).
-- Followers go to the outbox in this very step: they follow if, and only if, this outcome counts.
-- `delay`, in seconds, is how long a completed task is kept, or until the next attempt. Of what is handed back it is
-- 1 if it had started.
-- For what had started and is handed back it does not matter any more until when it may start. What had not has waited since it came,
-- and goes on saying so.
-- @include read_task
-- @include holds
local time = redis.call('TIME')
local this_second = tonumber(time[1])
local now = this_second + tonumber(time[2]) / 1000000
local since = time[1] .. string.format('%06d', time[2]) .. '000'
-- @include later
local replies, written, processed_count, failed_count, trim = {}, 0, 0, 0, false
local state_after = {
  [Verb.COMPLETE] = 'completed', [Verb.RETRY] = 'retry', [Verb.SNOOZE] = 'retry', [Verb.ARCHIVE] = 'archived',
  [Verb.ARCHIVE_RAW] = 'archived', [Verb.REQUEUE] = 'pending', [Verb.REQUEUE_CRASHED] = 'pending', [Verb.PUT_BACK] = 'scheduled',
}
local ended, gone, is_gone = {}, {}, {}
local key, arg = key_keys_from, word_argv_from
local function read(task)
  if is_gone[task] then return {} end
  return read_task(task, 'msg', 'state', 'receipt')
end
local function end_lease(id)
  -- From the tail, where the oldest are: tasks end roughly in the order in which they were taken.
  redis.call('LREM', active, -1, id)
  ended[#ended + 1] = id
end
local function delete(task)
  gone[#gone + 1] = task
  is_gone[task] = true
  processed_count = processed_count + 1
end
for _ = 1, tonumber(batches) do
  local token, first, last = ARGV[arg], arg + 2, arg + 1 + tonumber(ARGV[arg + 1])
  for at = first, last do
    local task = KEYS[key]
    key = key + 1
    local fields = read(task)
    local reply = Written.REFUSED
    if holds(token, fields[1], fields[2], fields[3]) then
      reply = Written.WRITTEN
      written = written + 1
      end_lease(ARGV[at])
      delete(task)
    elseif resent == '1' and not fields[2] then
      reply = Written.ALREADY_WRITTEN
    end
    replies[#replies + 1] = reply
  end
  arg = last + 1
end
while arg <= #ARGV do
  local id, verb, facts, message, result = ARGV[arg], ARGV[arg + 1], cmsgpack.unpack(ARGV[arg + 2]), ARGV[arg + 3], ARGV[arg + 4]
  local delay, followers, task, lock = facts.delay or 0, facts['then'] or {}, KEYS[key], nil
  local follower_arg = arg + 5
  arg, key = follower_arg + 2 * #followers, key + 1
  if facts.lock then lock = KEYS[key]; key = key + 1 end
  local fields = read(task)
  local reply = Written.REFUSED
  if holds(facts.token, fields[1], fields[2], fields[3]) then
    reply = Written.WRITTEN
  elseif resent == '1' then
    if verb == Verb.DONE then
      if not fields[2] then reply = Written.ALREADY_WRITTEN end
    elseif fields[2] == state_after[verb] and not fields[3] and (message == '' or fields[1] == message) then
      reply = Written.ALREADY_WRITTEN
    end
  end
  if reply == Written.WRITTEN then
    written = written + 1
    -- First of all: should the script fail in what comes then, the outcome is sent again, and finds the task as it was.
    for _, follower in ipairs(followers) do
      local name, its_message = ARGV[follower_arg], ARGV[follower_arg + 1]
      redis.call('ZADD', outbox_at, now, name)
      redis.call('HSET', outbox, name, cmsgpack.pack({follower[1], follower[2], string.format('%.6f', follower[3]), its_message}))
      follower_arg = follower_arg + 2
    end
    end_lease(id)
    if verb == Verb.DONE then
      delete(task)
    else
      if verb == Verb.REQUEUE and delay == 0 then
        redis.call('HDEL', task, 'owner', 'receipt')
      elseif verb == Verb.REQUEUE or verb == Verb.REQUEUE_CRASHED then
        redis.call('HDEL', task, 'owner', 'receipt', 'expires')
      elseif verb == Verb.PUT_BACK then
        redis.call('HDEL', task, 'owner', 'receipt', 'pending_since')
      else
        redis.call('HDEL', task, 'owner', 'receipt', 'pending_since', 'expires')
      end
      if message ~= '' then redis.call('HSET', task, 'msg', message) end
      if result ~= '' then redis.call('HSET', task, 'result', result) end
      redis.call('HSET', task, 'state', state_after[verb])
      if verb == Verb.COMPLETE then
        redis.call('ZADD', completed, this_second + delay, id)
        processed_count = processed_count + 1
      elseif verb == Verb.RETRY or verb == Verb.SNOOZE then
        enter_later(retry, id, now + delay)
        if verb == Verb.RETRY then
          redis.call('HSETNX', task, 'first_failed_at', time[1])
          processed_count = processed_count + 1
          failed_count = failed_count + 1
        end
      elseif verb == Verb.ARCHIVE or verb == Verb.ARCHIVE_RAW then
        if facts.error then redis.call('HSET', task, 'error', facts.error) end
        redis.call('ZADD', archived, this_second, id)
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
  replies[#replies + 1] = reply
end
tell_soonest()
-- A call for each would cost the server more than the work in it.
if #ended > 0 then redis.call('ZREM', lease, unpack(ended)) end
if #gone > 0 then redis.call('DEL', unpack(gone)) end
local count, total, day = processed_count, processed, processed_day
-- @include count
count, total, day = failed_count, failed, failed_day
-- @include count
-- @include trim_archived
if written == #replies then return Written.WRITTEN end
return replies
