-- The first ids of a state's key, and out of it one by one. Needs: source, state, limit.
local function first_of_source()
  if state ~= 'pending' then return redis.call('ZRANGE', source, 0, tonumber(limit) - 1) end
  local ids, oldest_first = redis.call('LRANGE', source, -tonumber(limit), -1), {}
  for index = #ids, 1, -1 do oldest_first[#oldest_first + 1] = ids[index] end
  return oldest_first
end
local function leave_source(id)
  -- Called only after the task was handled: a script that fails half-way must not have taken out the ids that it did not come to.
  if state == 'pending' then redis.call('RPOP', source) else redis.call('ZREM', source, id) end
end
