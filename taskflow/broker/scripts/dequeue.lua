-- Take waiting tasks for a worker, oldest first, and lease them to it.
-- moves:   pending -> active
-- keys:    pending, paused, active, lease, taken, orphans
-- args:    resent, worker, token, count, lease_seconds, task_prefix, unknown_grace
-- derives: the hash of each id found in pending
-- flags:   allow-oom
-- returns: the server's time; a Notice; the number of ids without a hash; number and history of each task that has one; then id and
--   message of each task
--
-- The token becomes the lease token of all that the call takes, and the task's field `receipt`. The lease ends half-way through a
-- second. Whoever takes the task after us writes another token, or is Go, which knows no tokens, leaves ours where it is, and writes a
-- lease of whole seconds. So who has the token can tell, and prove, whether that taking still holds. What Go does to the task without
-- taking it changes its state. The field has its name of 0.1: while a release is rolled out, workers of both take, extend and
-- finish tasks of one queue.
--
-- Its history is: crashes, recoveries, first failure (Unix seconds), end of its time to start (Unix seconds: that of one which is
-- cancelled is long ago, see cancel.lua); 0 is none. Most tasks
-- have none at all: the tasks are numbered from 0, and only those that have one are named.
-- `pending_since` stays until the attempt has ended: a task that is handed back has waited since it came, not since then.
--
-- A task that was put back because no worker here knew its name is left to others for `unknown_grace` seconds, at the far end of
-- `pending`. Otherwise a waiting worker of ours would take it again before one of Go's, which asks once a second, could have it. A
-- task whose `pending_since` is later than now (a clock that went back, a value that somebody wrote) is taken: it would be left for
-- ever.
--
-- A repeated call (same token) gets the same tasks, as far as the worker still holds them, and no others: a token is spent once.
-- If there is no record of the first copy, it never ran or found nothing: the caller asks anew, by another token.
--
-- An id whose hash is gone is noted in `orphans`; Go would lease it, and nothing would ever recover it. An id whose task is active
-- is only taken out of `pending`, and its worker keeps the task. If nobody has the task it is taken: a script of Go's that failed
-- half-way leaves such a state.
--
-- No more are taken when the messages so far have `most_bytes` and more. A message may have hundreds of megabytes (a producer's own
-- script can make one), and the server serves nobody else while it copies them.
-- @include holds
-- @include history
-- @include orphan
local call, try = redis.call, redis.pcall
local time = call('TIME')
local histories = {}
local answer, last, number = {time[1] .. '.' .. string.format('%06d', time[2]), Notice.NONE, 0, histories}, 4, 0
local function note_history(...)
  histories[#histories + 1] = number
  histories[#histories + 1] = history(...)
end
if resent == '1' then
  local before = try('GET', taken)
  if type(before) == 'string' then
    local readable, record = pcall(cmsgpack.unpack, before)
    if readable and type(record) == 'table' and record[1] == token then
      for index = 2, #record do
        local id = record[index]
        local task = task_prefix .. id
        local fields = try('HMGET', task, 'msg', 'state', 'receipt', 'crashes', 'recoveries', 'first_failed_at', 'expires')
        if fields[1] and holds(token, fields[2], fields[3], call('ZSCORE', lease, id)) then
          if fields[4] or fields[5] or fields[6] or fields[7] then note_history(fields[4], fields[5], fields[6], fields[7]) end
          answer[last + 1], answer[last + 2] = id, fields[1]
          last, number = last + 2, number + 1
        end
      end
      return answer
    end
  end
  answer[2] = Notice.NEVER_RAN
  return answer
end
if call('EXISTS', paused) == 1 then
  answer[2] = Notice.PAUSED
  return answer
end
local ids = call('RPOP', pending, count)
if not ids then return answer end
local now = tonumber(time[1])
-- `record` is the token, and then the ids that are taken.
local record, leases, aside, left = {token}, {}, {}, {}
local lease_end, most_bytes, bytes = now + tonumber(lease_seconds) + 0.5, 16 * 1024 * 1024, 0
local function is_new(task)
  local since = tonumber(call('HGET', task, 'pending_since') or 0)
  local came_at = (since or 0) / 1000000000
  return came_at > now - tonumber(unknown_grace) and came_at < now + 1
end
local function is_active(id)
  for index = 2, number + 1 do
    if record[index] == id then return true end
  end
  return call('ZSCORE', lease, id) or call('LPOS', active, id)
end
for index = 1, #ids do
  if bytes >= most_bytes then
    for back = #ids, index, -1 do left[#left + 1] = ids[back] end
    break
  end
  local id = ids[index]
  local task = task_prefix .. id
  -- What holds no hash has no fields: an error here would stop the work for all ids of the call.
  local fields = try('HMGET', task, 'msg', 'state', 'crashes', 'recoveries', 'first_failed_at', 'expires', 'unknown')
  local message = fields[1]
  if not message then
    orphan(id, task)
    answer[3] = answer[3] + 1
  elseif fields[7] and is_new(task) then
    aside[#aside + 1] = id
  elseif fields[2] ~= 'active' or not is_active(id) then
    bytes = bytes + #message
    call('HSET', task, 'state', 'active', 'owner', worker, 'receipt', token)
    record[number + 2] = id
    leases[2 * number + 1], leases[2 * number + 2] = lease_end, id
    if fields[3] or fields[4] or fields[5] or fields[6] then note_history(fields[3], fields[4], fields[5], fields[6]) end
    answer[last + 1], answer[last + 2] = id, message
    last, number = last + 2, number + 1
  end
end
if #left > 0 then redis.call('RPUSH', pending, unpack(left)) end
if #aside > 0 then redis.call('LPUSH', pending, unpack(aside)) end
if #aside > 0 and number == 0 then answer[2] = Notice.LEFT_TO_OTHERS end
if number > 0 then
  redis.call('LPUSH', active, unpack(record, 2))
  redis.call('ZADD', lease, unpack(leases))
  redis.call('SET', taken, cmsgpack.pack(record), 'EX', 60)
end
return answer
