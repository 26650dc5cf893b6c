-- Take tasks out of an aggregation group that are not to be joined: archived unread, or put back for a worker that can read them.
-- moves:   aggregating -> archived, aggregating -> scheduled, aggregating -> gone
-- keys:    group_key, groups, scheduled, due, archived, processed, processed_day, failed, failed_day, task...
-- args:    resent, group, unique_prefix, task_prefix, channel_prefix, archive_seconds, archive_size, item...
-- item:    id, read, verb, delay, message, error, attempt, keep
-- derives: the locks of archived tasks, the hashes of those that are trimmed
-- flags:   allow-oom
-- returns: a Refused for each
--
-- `read` is the SHA-1 of its message as it was read: what is another one by now is left, and so a repetition changes nothing. Of several
-- workers that refuse the same, one hears that it was its doing.
-- What was put back goes to its group again when its time comes. Archived counts as processed and failed, as it would if it had
-- been taken to be run. An empty `message`: it stays as it is. `attempt` is the failure as it is kept, but for its last brace; `keep`
-- the seconds for which an archived task is kept: empty as Asynq keeps them, 0 not at all.
-- @include release_lock
local time = redis.call('TIME')
local this_second = tonumber(time[1])
local now = this_second + tonumber(time[2]) / 1000000
-- @include later
-- @include keep_attempt
local answer, count, trim = {}, 0, false
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  local task = KEYS[task_keys_from + (arg - item_argv_from) / item_size]
  local fields = redis.call('HMGET', task, 'msg', 'unique_key', 'state')
  local in_group, as_read = redis.call('ZSCORE', group_key, id), redis.sha1hex(fields[1] or '') == read
  local reply = Refused.CHANGED
  if in_group and as_read then
    reply = Refused.REFUSED
    redis.call('ZREM', group_key, id)
    if verb == Verb.PUT_BACK then
      redis.call('HSET', task, 'state', 'scheduled')
      redis.call('HINCRBY', task, 'unknown', 1)
      enter_later(scheduled, id, now + tonumber(delay))
    else
      release_lock(id, fields[2], fields[1])
      if message ~= '' then redis.call('HSET', task, 'msg', message) end
      redis.call('HSET', task, 'state', 'archived', 'error', error)
      if attempt ~= '' then keep_attempt(task, {attempt, '}'}) end
      if keep == '0' then
        redis.call('DEL', task)
      else
        redis.call('ZADD', archived, this_second - (keep ~= '' and tonumber(archive_seconds) - tonumber(keep) or 0), id)
      end
      redis.call('SPUBLISH', channel_prefix .. id, verb)
      count = count + 1
      trim = true
    end
  elseif resent == '1' and not in_group and (not fields[1] or fields[1] == message or message == '' and as_read) then
    local state = 'archived'
    if verb == Verb.PUT_BACK then state = 'scheduled' elseif keep == '0' then state = false end
    if fields[3] == state then reply = Refused.ALREADY_REFUSED end
  end
  answer[#answer + 1] = reply
end
if redis.call('EXISTS', group_key) == 0 then redis.call('SREM', groups, group) end
tell_soonest()
local total, day = processed, processed_day
-- @include count
total, day = failed, failed_day
-- @include count
-- @include trim_archived
return answer
