-- Writes what an attempt has said of itself: its reports are of seq, progress, chunks of lines (count, text). Whether any was new.
local function say(task, token, reports)
  local most_lines, most_bytes = 500, 65536
  local noted = redis.pcall('HGET', task, 'reported')
  local by, seq, first, after, lines, bytes = string.match(
    type(noted) == 'string' and noted or '', '^%S+ (%S+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  seq, first, after = tonumber(by == token and seq or 0), tonumber(first or 1), tonumber(after or 1)
  lines, bytes = tonumber(lines or 0), tonumber(bytes or 0)
  local is_new = false
  for _, report in ipairs(reports) do
    if report[1] > seq then
      seq, is_new = report[1], true
      if report[2] ~= '' then redis.call('HSET', task, 'progress', report[2]) end
      for _, chunk in ipairs(report[3]) do
        local value = chunk[1] .. ' ' .. chunk[2]
        redis.call('HSET', task, 'lines:' .. after, value)
        after, lines, bytes = after + 1, lines + chunk[1], bytes + #value
      end
    end
  end
  if not is_new then return false end
  -- The latest chunk stays, whatever it has.
  while first < after - 1 and (lines > most_lines or bytes > most_bytes) do
    local value = redis.call('HGET', task, 'lines:' .. first) or ''
    redis.call('HDEL', task, 'lines:' .. first)
    first, lines, bytes = first + 1, lines - tonumber(string.match(value, '^(%d+) ') or 0), bytes - #value
  end
  local time = redis.call('TIME')
  local at = time[1] .. '.' .. string.format('%06d', time[2])
  redis.call('HSET', task, 'reported', table.concat({at, token, seq, first, after, math.max(lines, 0), math.max(bytes, 0)}, ' '))
  return true
end
