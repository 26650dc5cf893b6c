-- One task as it is reported: id, score, end of its lease, 1 if its hash exists, and the hash's fields.
local function task_row(task, id, score, lease_until)
  local known = redis.call('TYPE', task).ok
  local fields = {}
  if known == 'hash' then
    fields = redis.call('HMGET', task, 'msg', 'state', 'pending_since', 'group', 'result', 'error', 'owner', 'crashes', 'recoveries', 'unknown')
  end
  return {id, score or '', lease_until or '', known == 'none' and 0 or 1, fields}
end
