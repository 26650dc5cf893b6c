-- Read what tasks say of themselves, many at a time.
-- moves:   -
-- keys:    task...
-- args:    -
-- flags:   no-writes
-- returns: for each task a Stored, its state, its group
local replies = {}
for index = task_keys_from, #KEYS do
  local kind, length = Stored.NO_HASH, redis.pcall('HSTRLEN', KEYS[index], 'msg')
  local fields = {}
  if type(length) == 'number' then
    kind = length > 0 and Stored.TASK or Stored.NO_MESSAGE
    fields = redis.call('HMGET', KEYS[index], 'state', 'group')
    if kind == Stored.NO_MESSAGE and redis.call('EXISTS', KEYS[index]) == 0 then kind = Stored.NOTHING end
  end
  replies[#replies + 1] = kind
  replies[#replies + 1] = fields[1] or ''
  replies[#replies + 1] = fields[2] or ''
end
return replies
