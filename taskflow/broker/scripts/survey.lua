-- Look for what is broken in a queue, a page at a time.
-- moves:   -
-- keys:    active, lease, groups, aggregation_sets, source...
-- args:    limit, task_prefix, group_prefix, active_offset, lease_offset, group_cursor, item...
-- item:    place, offset, group
-- derives: the hash of each id, the aggregation groups and sets of the queue
-- flags:   no-writes
-- returns: where to go on in active, in lease and in groups; for each source its next offset, or an Offset; ids
--   that are not as they should be, each with where it stands; groups with tasks; groups without; how many sets are to be
--   reclaimed; keys of a wrong type
--
-- The items say what the sources are: `place` is pending or the name of a sorted set, `group` that of an aggregation group or
-- empty. What is named here is looked at again by repair.lua, which decides: this only has to be quick.
local now = tonumber(redis.call('TIME')[1])
local size = tonumber(limit)
local doubtful, broken = {}, {}
local function ask(command, key, ...)
  local reply = redis.pcall(command, key, ...)
  if type(reply) == 'table' and reply.err then
    broken[#broken + 1] = key
    return false
  end
  return reply
end
local function doubt(id, place)
  doubtful[#doubtful + 1] = id
  doubtful[#doubtful + 1] = place
end
local function sound(id, place, group)
  local task = task_prefix .. id
  local length = redis.pcall('HSTRLEN', task, 'msg')
  if type(length) ~= 'number' or length == 0 then return false end
  local fields = redis.call('HMGET', task, 'state', 'group')
  return fields[1] == place and (group == '' or fields[2] == group)
end
local function page_of(list, offset, count)
  return ask('LRANGE', list, -(offset + count), -offset - 1) or {}
end

local from = tonumber(active_offset)
local running = page_of(active, from, size)
local next_active = #running == size and from + size or Offset.AT_END
if #running > 0 then
  local leases = ask('ZMSCORE', lease, unpack(running)) or {}
  for index, id in ipairs(running) do
    if not leases[index] or not sound(id, 'active', '') then doubt(id, 'active') end
  end
end
-- Leases whose task does not stand in active are looked for only where there are more leases than active tasks.
local next_lease = Offset.AT_END
local length = ask('LLEN', active)
if length and (ask('ZCARD', lease) or 0) > length then
  from = tonumber(lease_offset)
  local leased = redis.call('ZRANGE', lease, from, from + size - 1)
  for _, id in ipairs(leased) do doubt(id, 'lease') end
  if #leased == size then next_lease = from + size end
end

local budget, offsets = size, {}
for index = source_keys_from, #KEYS do
  local source, arg = KEYS[index], item_argv_from + item_size * (index - source_keys_from)
  -- @read item arg
  offset = tonumber(offset)
  local following = Offset.NOT_LOOKED_AT
  if budget > 0 then
    local ids
    if place == 'pending' then
      ids = page_of(source, offset, budget)
    else
      ids = ask('ZRANGE', source, offset, offset + budget - 1) or {}
    end
    following = #ids == budget and offset + budget or Offset.AT_END
    budget = budget - #ids
    for _, id in ipairs(ids) do
      if not sound(id, place, group) then doubt(id, group == '' and place or source) end
    end
  end
  offsets[#offsets + 1] = following
end

local cursor, full, empty = group_cursor, {}, {}
if cursor ~= '' then
  local found = ask('SSCAN', groups, cursor, 'COUNT', 50) or {'0', {}}
  cursor = found[1]
  for _, name in ipairs(found[2]) do
    local count = ask('ZCARD', group_prefix .. name)
    if count == 0 then empty[#empty + 1] = name elseif count then full[#full + 1] = name end
  end
end
local stale = 0
local sets = ask('ZRANGE', aggregation_sets, 0, 99, 'WITHSCORES') or {}
for index = 1, #sets, 2 do
  local ours = string.sub(sets[index], 1, #group_prefix) == group_prefix
  if tonumber(sets[index + 1]) <= now or not ours or redis.call('EXISTS', sets[index]) == 0 then stale = stale + 1 end
end
return {next_active, next_lease, cursor, offsets, doubtful, full, empty, stale, broken}
