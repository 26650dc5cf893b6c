local function keep_attempt(task, attempt)
  -- Keeps an attempt that failed with its task: a line of JSON after those before it, of which the last ones stay. Of attempts in a
  -- row with the same end, which is the traceback, the last has it and the others say so: then no line needs one that is gone.
  local start, rest = attempt[1], attempt[2]
  local kept = redis.call('HGET', task, 'attempts') or ''
  if #kept > Kept.ATTEMPTS * Kept.ATTEMPT_BYTES then kept = '' end
  local same = rest .. '\n'
  if rest ~= '}' and string.sub(kept, -#same) == same then kept = string.sub(kept, 1, -#same - 1) .. ',"as_next":true}\n' end
  local ends, at = {}, string.find(kept, '\n', 1, true)
  while at do
    ends[#ends + 1] = at
    at = string.find(kept, '\n', at + 1, true)
  end
  local too_many = #ends + 1 - Kept.ATTEMPTS
  if too_many > 0 then kept = string.sub(kept, ends[too_many] + 1) end
  redis.call('HSET', task, 'attempts', kept .. start .. same)
end
