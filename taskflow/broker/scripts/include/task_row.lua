-- One task as it is reported: id, score, end of its lease, 1 if its hash exists, and the hash's fields. `whole`: all of its attempts
-- that failed; else of the last one what stands before its traceback.
local function task_row(task, id, score, lease_until, whole)
  local known = redis.call('TYPE', task).ok
  local fields = {}
  if known == 'hash' then
    fields = redis.call('HMGET', task, 'msg', 'state', 'pending_since', 'group', 'result', 'error', 'owner', 'crashes', 'recoveries', 'unknown', 'attempts',
      'snoozes', 'cancel', 'expires')
    if fields[11] and not whole then
      local from, ends = 1, string.find(fields[11], '\n', 1, true)
      while ends and ends < #fields[11] do
        from = ends + 1
        ends = string.find(fields[11], '\n', from, true)
      end
      local before = string.find(fields[11], ',"traceback":"', from, true)
      fields[11] = before and string.sub(fields[11], from, before - 1) .. '}' or string.sub(fields[11], from)
    end
  end
  return {id, score or '', lease_until or '', known == 'none' and 0 or 1, fields}
end
