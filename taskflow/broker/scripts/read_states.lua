-- Read what tasks say of themselves, many at a time.
-- moves:   -
-- keys:    task...
-- args:    -
-- flags:   no-writes
-- returns: for each task 0 there is none | 1 it has a message | 2 it has none | 3 its key is no hash; its state, its group
local replies = {}
for index = task_keys_from, #KEYS do
  local kind, length = 3, redis.pcall('HSTRLEN', KEYS[index], 'msg')
  local fields = {}
  if type(length) == 'number' then
    kind = length > 0 and 1 or 2
    fields = redis.call('HMGET', KEYS[index], 'state', 'group')
    if kind == 2 and redis.call('EXISTS', KEYS[index]) == 0 then kind = 0 end
  end
  replies[#replies + 1] = kind
  replies[#replies + 1] = fields[1] or ''
  replies[#replies + 1] = fields[2] or ''
end
return replies
