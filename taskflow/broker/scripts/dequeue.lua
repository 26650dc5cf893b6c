-- Take waiting tasks for a worker, oldest first, and lease them to it.
-- moves:   pending -> active
-- keys:    pending, paused, active, lease, taken, orphans
-- args:    resent, worker, token, count, lease_seconds, task_prefix, unknown_grace
-- derives: the hash of each id found in pending
-- flags:   allow-oom
-- returns: the server's time; a Notice; the number of ids without a hash; then id, message, history of each task
--
-- The token becomes the lease token of all that the call takes. With it and the SHA-1 of the message the task's field `receipt` names
-- one taking of it. Whatever Go does that takes a task out of our hands rewrites its message or lets somebody of ours take it anew,
-- so who has the token can tell, and prove, whether that taking still holds. The field has its name of 0.1: while a release is
-- rolled out, workers of both take, extend and finish tasks of one queue.
--
-- The history is empty, or: crashes, recoveries, first failure (Unix seconds), end of its time to start (Unix seconds); 0 is none.
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
-- script can make one), and the server serves nobody else while it hashes and copies them.
-- @include read_task
-- @include holds
-- @include history
-- @include orphan
local time = redis.call('TIME')
local answer = {time[1] .. '.' .. string.format('%06d', time[2]), Notice.NONE, 0}
if resent == '1' then
  local before = redis.pcall('GET', taken)
  if type(before) == 'string' then
    local readable, record = pcall(cmsgpack.unpack, before)
    if readable and type(record) == 'table' and record[1] == token then
      for index = 2, #record do
        local id = record[index]
        local fields = read_task(task_prefix .. id, 'msg', 'state', 'receipt', 'crashes', 'recoveries', 'first_failed_at', 'expires')
        if holds(token, fields[1], fields[2], fields[3]) then
          answer[#answer + 1] = id
          answer[#answer + 1] = fields[1]
          answer[#answer + 1] = history(fields[4], fields[5], fields[6], fields[7])
        end
      end
      return answer
    end
  end
  answer[2] = Notice.NEVER_RAN
  return answer
end
if redis.call('EXISTS', paused) == 1 then
  answer[2] = Notice.PAUSED
  return answer
end
local ids = redis.call('RPOP', pending, count)
if not ids then return answer end
local now, record, leases, held, taking, aside = tonumber(time[1]), {token}, {}, {}, {}, {}
local function is_new(since)
  local came_at = (since or 0) / 1000000000
  return came_at > now - tonumber(unknown_grace) and came_at < now + 1
end
local most_bytes = 16 * 1024 * 1024
local bytes, left = 0, {}
for index, id in ipairs(ids) do
  if bytes >= most_bytes then
    for back = #ids, index, -1 do left[#left + 1] = ids[back] end
    break
  end
  local task = task_prefix .. id
  local fields = read_task(task, 'msg', 'state', 'crashes', 'recoveries', 'first_failed_at', 'expires', 'unknown', 'pending_since')
  if not fields[1] then
    orphan(id, task)
    answer[3] = answer[3] + 1
  elseif fields[7] and is_new(tonumber(fields[8])) then
    aside[#aside + 1] = id
  elseif fields[2] ~= 'active' or not (taking[id] or redis.call('ZSCORE', lease, id) or redis.call('LPOS', active, id)) then
    bytes = bytes + #fields[1]
    taking[id] = true
    redis.call('HSET', task, 'state', 'active', 'owner', worker, 'receipt', token .. redis.sha1hex(fields[1]))
    held[#held + 1] = id
    record[#record + 1] = id
    leases[#leases + 1] = now + tonumber(lease_seconds)
    leases[#leases + 1] = id
    answer[#answer + 1] = id
    answer[#answer + 1] = fields[1]
    answer[#answer + 1] = history(fields[3], fields[4], fields[5], fields[6])
  end
end
if #left > 0 then redis.call('RPUSH', pending, unpack(left)) end
if #aside > 0 then redis.call('LPUSH', pending, unpack(aside)) end
if #aside > 0 and #held == 0 then answer[2] = Notice.LEFT_TO_OTHERS end
if #held > 0 then
  redis.call('LPUSH', active, unpack(held))
  redis.call('ZADD', lease, unpack(leases))
  redis.call('SET', taken, cmsgpack.pack(record), 'EX', 60)
end
return answer
