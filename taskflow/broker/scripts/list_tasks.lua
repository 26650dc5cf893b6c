-- List tasks of a state, or of an aggregation group, from `offset` on, in the order in which they come up.
-- moves:   -
-- keys:    source, lease
-- args:    kind, offset, limit, bytes, task_prefix
-- derives: the hash of each id
-- flags:   no-writes
-- returns: the server's time, the length of the source, then a row for each task
--
-- Stops early, after at least one row, when the messages and results are more than `bytes`: the caller asks for the rest.
-- `kind` is list (the oldest stands at the right end) or zset.
-- @include task_row
local answer, ids, scores, size = {redis.call('TIME')[1]}, {}, {}, 0
local from, to = tonumber(offset), tonumber(offset) + tonumber(limit)
if kind == 'list' then
  answer[2] = redis.call('LLEN', source)
  local range = redis.call('LRANGE', source, -to, -from - 1)
  for index = #range, 1, -1 do ids[#ids + 1] = range[index] end
else
  answer[2] = redis.call('ZCARD', source)
  local range = redis.call('ZRANGE', source, from, to - 1, 'WITHSCORES')
  for index = 1, #range, 2 do
    ids[#ids + 1] = range[index]
    scores[#ids] = range[index + 1]
  end
end
for index, id in ipairs(ids) do
  local row = task_row(task_prefix .. id, id, scores[index], redis.call('ZSCORE', lease, id))
  answer[#answer + 1] = row
  size = size + #(row[5][1] or '') + #(row[5][5] or '')
  if size > tonumber(bytes) then break end
end
return answer
