-- Write down how attempts ended: done, completed, retried, archived, or handed back.
-- moves:   active -> gone, active -> completed, active -> retry, active -> archived, active -> pending, active -> scheduled
-- keys:    active, lease, pending, scheduled, retry, due, archived, completed, processed, processed_day, failed, failed_day, key...
-- args:    resent, task_prefix, channel_prefix, archive_seconds, archive_size, batches, word...
-- derives: the hashes of archived tasks that are trimmed
-- flags:   allow-oom
-- returns: 1 all are written; or for each task 1 written | 2 was written already (a re-send) | 0 refused: the worker does not hold it any more
--
-- First come the tasks that are simply done, as most are, in so many `batches`: the lease token of each, the number of its tasks,
-- their ids. Then come the others, each of them as: id, verb, facts, message, result. The keys are the tasks in the same order,
-- a task's lock behind it if its facts have `lock`.
-- The facts are a map in msgpack, so that a new one is no new position: `token`, the lease token, and of these what is not empty or
-- zero: `at`, `lock`, `error`, `attempt` (an attempt that failed: at, seconds, worker, error).
-- Verbs: d done; c completed, kept for `at` seconds; r retry in `at` seconds (a failure); s retry in `at` seconds (no failure);
-- a archived; x archived as it is (its bytes cannot be read); q handed back; k handed back after a crash; u put back for
-- `at` seconds (nobody here knows its name).
-- What is handed back with `at` 1 had started: then it does not matter any more until when it may start. What had not has waited
-- since it came, and goes on saying so.
-- @include read_task
-- @include holds
local time = redis.call('TIME')
local seconds = tonumber(time[1])
local now = seconds + tonumber(time[2]) / 1000000
local since = time[1] .. string.format('%06d', time[2]) .. '000'
-- @include later
local replies, written, processed_count, failed_count, trim = {}, 0, 0, 0, false
local settled = {c = 'completed', r = 'retry', s = 'retry', a = 'archived', x = 'archived', q = 'pending', k = 'pending', u = 'scheduled'}
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
    local reply = 0
    if holds(token, fields[1], fields[2], fields[3]) then
      reply = 1
      written = written + 1
      end_lease(ARGV[at])
      delete(task)
    elseif resent == '1' and not fields[2] then
      reply = 2
    end
    replies[#replies + 1] = reply
  end
  arg = last + 1
end
while arg <= #ARGV do
  local id, verb, facts, message, result = ARGV[arg], ARGV[arg + 1], cmsgpack.unpack(ARGV[arg + 2]), ARGV[arg + 3], ARGV[arg + 4]
  local at, task, lock = facts.at or 0, KEYS[key], nil
  arg, key = arg + 5, key + 1
  if facts.lock then lock = KEYS[key]; key = key + 1 end
  local fields = read(task)
  local reply = 0
  if holds(facts.token, fields[1], fields[2], fields[3]) then
    reply = 1
  elseif resent == '1' then
    if verb == 'd' then
      if not fields[2] then reply = 2 end
    elseif fields[2] == settled[verb] and not fields[3] and (message == '' or fields[1] == message) then
      reply = 2
    end
  end
  if reply == 1 then
    written = written + 1
    end_lease(id)
    if verb == 'd' then
      delete(task)
    else
      if verb == 'q' and at == 0 then
        redis.call('HDEL', task, 'owner', 'receipt')
      elseif verb == 'q' or verb == 'k' then
        redis.call('HDEL', task, 'owner', 'receipt', 'expires')
      elseif verb == 'u' then
        redis.call('HDEL', task, 'owner', 'receipt', 'pending_since')
      else
        redis.call('HDEL', task, 'owner', 'receipt', 'pending_since', 'expires')
      end
      if message ~= '' then redis.call('HSET', task, 'msg', message) end
      if result ~= '' then redis.call('HSET', task, 'result', result) end
      redis.call('HSET', task, 'state', settled[verb])
      if verb == 'c' then
        redis.call('ZADD', completed, seconds + at, id)
        processed_count = processed_count + 1
      elseif verb == 'r' or verb == 's' then
        enter_later(retry, id, now + at)
        if verb == 'r' then
          redis.call('HSETNX', task, 'first_failed_at', time[1])
          processed_count = processed_count + 1
          failed_count = failed_count + 1
        end
      elseif verb == 'a' or verb == 'x' then
        if facts.error then redis.call('HSET', task, 'error', facts.error) end
        redis.call('ZADD', archived, seconds, id)
        processed_count = processed_count + 1
        failed_count = failed_count + 1
        trim = true
      elseif verb == 'u' then
        enter_later(scheduled, id, now + at)
        redis.call('HINCRBY', task, 'unknown', 1)
      else
        if verb == 'k' then redis.call('HINCRBY', task, 'crashes', 1) end
        redis.call('HSETNX', task, 'pending_since', since)
        redis.call('RPUSH', pending, id)
      end
    end
    if verb == 'd' or verb == 'c' or verb == 'a' then
      if lock and redis.pcall('GET', lock) == id then redis.call('DEL', lock) end
    end
    if verb == 'c' or verb == 'a' or verb == 'x' then
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
if written == #replies then return 1 end
return replies
