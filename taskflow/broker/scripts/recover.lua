-- Give the tasks back whose lease has ended without a verdict: their worker is gone.
-- moves:   active -> pending, active -> archived
-- keys:    answer, active, lease, pending, archived, orphans
-- args:    resent, limit, effort_limit, foreign_grace, task_prefix, unique_prefix, channel_prefix, archive_seconds, archive_size
-- derives: the hash of each id whose lease has ended, the locks of those that are cancelled, the hashes of trimmed tasks
-- flags:   allow-oom
-- returns: the ids that were given back
--
-- A lease of one of our workers (also of the release before) is over when it ends, by the server's clock. Another is Go's, written by
-- another clock: it has `foreign_grace` seconds more, as Go gives. Costs no retry: a task that never ran must still run. What says that it is not
-- active, and yet stands here, is left to repair.lua. What somebody has cancelled (see cancel.lua) is archived.
-- @include replied
-- @include read_task
-- @include is_about
-- @include holds
-- @include orphan
-- @include keep_attempt
-- @include release_lock
local time = redis.call('TIME')
local now = tonumber(time[1])
local this_second = now
local since = time[1] .. string.format('%06d', time[2]) .. '000'
-- @include cancelled
local recovered, effort, trim = {}, 0, false
local function leave(id)
  -- Looks from the tail, where the oldest stand. The entries that it passes count as effort, and that bounds how many are done in
  -- this call.
  local length, at = redis.call('LLEN', active), redis.call('LPOS', active, id, 'RANK', -1)
  effort = effort + 2 * (length - (at or 0))
  if at then redis.call('LREM', active, -1, id) end
  redis.call('ZREM', lease, id)
end
for _, id in ipairs(redis.call('ZRANGE', lease, '-inf', now, 'BYSCORE', 'LIMIT', 0, tonumber(limit))) do
  local task = task_prefix .. id
  local fields = read_task(task, 'msg', 'receipt', 'state', 'pending_since', 'owner', 'cancel', 'unique_key')
  local expires_at = tonumber(redis.call('ZSCORE', lease, id))
  local ours = is_ours(expires_at) or is_about(fields[2], fields[1])
  if not fields[1] then
    orphan(id, task)
    leave(id)
  elseif fields[3] == 'active' and (ours or expires_at <= now - tonumber(foreign_grace)) and fields[6] then
    archive_cancelled(id, task, fields[1], fields[7])
    leave(id)
    trim = true
  elseif fields[3] == 'active' and (ours or expires_at <= now - tonumber(foreign_grace)) then
    redis.call('RPUSH', pending, id)
    redis.call('HINCRBY', task, 'recoveries', 1)
    keep_attempt(task, {string.format('{"at":%.3f,"worker":%s,"type":"LeaseExpired","text":"its lease ended without a verdict: its worker was gone, or stood still"',
      expires_at, cjson.encode(fields[5] or '')), '}'})
    redis.call('HSET', task, 'state', 'pending', 'pending_since', fields[4] or since)
    redis.call('HDEL', task, 'owner', 'receipt')
    leave(id)
    recovered[#recovered + 1] = id
  end
  if effort > tonumber(effort_limit) then break end
end
-- @include trim_archived
return #recovered > 0 and note(recovered) or recovered
