-- Put tasks right, by id: each ends in exactly one place, the one that its state names.
-- moves:   active -> pending, scheduled -> pending, retry -> pending, aggregating -> pending, pending -> gone, active -> gone, scheduled -> gone, retry -> gone, archived -> gone, completed -> gone, aggregating -> gone
-- keys:    answer, pending, active, lease, scheduled, retry, archived, completed, groups, aggregation_sets, orphans, task...
-- args:    resent, dry, trial_seconds, reach, near, effort_limit, group_prefix, unique_prefix, item...
-- item:    id, where, seen, expires_at
-- derives: the group and the lock of a task, and the aggregation sets of the queue
-- flags:   allow-oom
-- returns: repair and detail of each item that it came to; the caller gives the rest again
--
-- `where` is where it was found: a place, the key of a group, or `nowhere` if somebody has looked everywhere (then only the `near` ends
-- of lists are looked through). `seen` is the SHA-1 of its message if it was seen active without a lease some seconds ago. `expires_at`
-- is until when it is kept if it is completed and stands nowhere. With `dry` 1 nothing is written.
--
-- If a task stands in the place that its state names, its state stays; otherwise its state becomes that of the place where it stands.
-- A task that may be running is not started a second time as far as that can be told:
-- a lease without a place in active is entered there again; a task that names a worker of ours and has no lease gets a
-- short one, which that worker extends if it lives, and recover.lua ends; one that names none goes back to pending at the second look.
-- Writes go to the destination first, so that a failure in between leaves a task in two places, and never in none.
-- @include replied
-- @include read_task
-- @include orphan
-- @include release_lock
local time = redis.call('TIME')
local now = tonumber(time[1])
local since = time[1] .. string.format('%06d', time[2]) .. '000'
-- Counted in entries of lists that were looked through. The work on a task costs as much as some hundreds of entries.
local effort, effort_of_one = 0, 800
local sets = {scheduled = scheduled, retry = retry, archived = archived, completed = completed}
local order = {'retry', 'scheduled', 'completed', 'archived'}

local function ask(...)
  local reply = redis.pcall(...)
  if type(reply) == 'table' and reply.err then return false end
  return reply
end
local function write(...)
  if dry ~= '1' then redis.call(...) end
end
local function find(list, id, far)
  -- Looks from the tail, where the oldest are, then from the head. Returns -1 or 1 (from which end, as LREM counts), false if the id is
  -- not there, or nil if the list is too long to tell.
  local length = ask('LLEN', list) or 0
  if length == 0 then return false end
  local at = ask('LPOS', list, id, 'RANK', -1, 'MAXLEN', far)
  if at then
    effort = effort + length - at
    return -1
  end
  effort = effort + math.min(length, far)
  if length <= far then return false end
  at = ask('LPOS', list, id, 'MAXLEN', far)
  effort = effort + (at or far)
  if at then return 1 end
  if length <= 2 * far then return false end
  return nil
end
local function ours(key) return string.sub(key, 1, #group_prefix) == group_prefix end
local function groups_of(id, state, group, where)
  local found = {}
  local named = group and group ~= '' and group_prefix .. group
  if named and ask('ZSCORE', named, id) then found[1] = named end
  if where ~= named and ours(where) and ask('ZSCORE', where, id) then found[#found + 1] = where end
  if #found == 0 and state == 'aggregating' then
    for _, key in ipairs(ask('ZRANGE', aggregation_sets, 0, 99) or {}) do
      if ours(key) and ask('ZSCORE', key, id) then return {key}, true end
    end
  end
  return found, false
end
local function leave_group(key, id)
  write('ZREM', key, id)
  if dry ~= '1' and redis.call('EXISTS', key) == 0 then redis.call('SREM', groups, string.sub(key, #group_prefix + 1)) end
end

local function put_right(id, task, where, seen, expires_at)
  local fields = read_task(task, 'state', 'owner', 'group', 'unique_key')
  local state, worker, group = fields[1], fields[2], fields[3]
  local known = ask('HSTRLEN', task, 'msg')
  known = known and known > 0
  -- Where it stands.
  local leased = ask('ZSCORE', lease, id)
  local stands = {}
  for _, name in ipairs(order) do
    if ask('ZSCORE', sets[name], id) then stands[#stands + 1] = name end
  end
  local function in_set(name)
    for _, one in ipairs(stands) do
      if one == name then return true end
    end
    return false
  end
  local grouped, aggregated = groups_of(id, state, group, where)
  local nothing = #stands == 0 and #grouped == 0 and not leased
  local running, waiting = false, false
  local far = tonumber(where == 'nowhere' and near or reach)
  if state == 'active' or leased or where == 'active' or (known and nothing) then running = find(active, id, far) end
  if state == 'pending' or where == 'pending' or (known and nothing and not running) then waiting = find(pending, id, far) end
  local function leave(kept)
    local left = false
    for _, name in ipairs(stands) do
      if name ~= kept then
        left = true
        write('ZREM', sets[name], id)
      end
    end
    if kept ~= 'active' and (leased or running) then
      left = true
      if running then write('LREM', active, running, id) end
      write('ZREM', lease, id)
    end
    if kept ~= 'pending' and waiting then
      left = true
      write('LREM', pending, waiting, id)
    end
    for index, key in ipairs(grouped) do
      if kept ~= 'aggregating' or index > 1 then
        left = true
        leave_group(key, id)
      end
    end
    return left
  end

  if not known then
    local rest = redis.call('TYPE', task).ok == 'hash'
    if nothing and not running and not waiting and not rest then return 'fine', '' end
    if dry ~= '1' then
      orphan(id, task)
      release_lock(id, fields[4], false)
    end
    leave('')
    return 'orphaned', state or ''
  end

  local target
  if in_set(state) or (state == 'pending' and waiting) or (state == 'aggregating' and #grouped > 0)
    or (state == 'active' and (running or leased)) then
    target = state
  elseif running and leased then
    target = 'active'
  elseif waiting then
    target = 'pending'
  elseif #stands > 0 and stands[1] ~= 'completed' and stands[1] ~= 'archived' then
    target = stands[1]
  elseif #grouped > 0 then
    target = 'aggregating'
  elseif #stands > 0 then
    target = stands[1]
  elseif running or leased then
    target = 'active'
  end

  if not target then
    if (running == nil or waiting == nil) and where ~= 'nowhere' then return 'unclear', '' end
    if state == 'archived' then
      write('ZADD', archived, now, id)
    elseif state == 'completed' then
      write('ZADD', completed, math.max(now, tonumber(expires_at)), id)
    elseif state == 'aggregating' and group and group ~= '' then
      write('ZADD', group_prefix .. group, now, id)
      write('SADD', groups, group)
    else
      write('LPUSH', pending, id)
      write('HSET', task, 'state', 'pending', 'pending_since', since)
      write('HDEL', task, 'owner', 'receipt')
    end
    return 'restored', state or ''
  end

  if target == 'active' and not leased then
    if worker and worker ~= '' then
      -- One of ours: where Go has the task, it writes another with its next sign of life.
      write('ZADD', lease, now + tonumber(trial_seconds) + 0.5, id)
      write('HSET', task, 'state', 'active')
      leave('active')
      return 'leased', ''
    end
    local fingerprint = redis.sha1hex(redis.call('HGET', task, 'msg'))
    if seen ~= fingerprint then return 'unleased', fingerprint end
    if not waiting then write('RPUSH', pending, id) end
    write('HSETNX', task, 'pending_since', since)
    write('HINCRBY', task, 'recoveries', 1)
    write('HSET', task, 'state', 'pending')
    leave('pending')
    return 'given_back', ''
  end
  local repair = 'fine'
  if target == 'active' and not running then
    if running == nil and where ~= 'nowhere' then return 'unclear', '' end
    write('LPUSH', active, id)
    repair = 'listed'
  end
  if state ~= target then
    write('HSET', task, 'state', target)
    if target ~= 'active' then write('HDEL', task, 'owner', 'receipt') end
    if repair == 'fine' then repair = 'mended' end
  end
  if target == 'aggregating' and not aggregated then
    local name = string.sub(grouped[1], #group_prefix + 1)
    -- A set that nobody registered is named after its group and a colon.
    local in_set_of = group and group ~= '' and string.sub(name, 1, #group + 1) == group .. ':'
    if group ~= name and not in_set_of then
      write('HSET', task, 'group', name)
      repair = 'mended'
    end
  end
  if leave(target) and repair == 'fine' then repair = 'mended' end
  return repair, target
end

local nothing_done = {fine = true, unleased = true, unclear = true, failed = true}
local replies, changed = {}, false
for arg = item_argv_from, #ARGV, item_size do
  -- @read item arg
  local task = KEYS[task_keys_from + (arg - item_argv_from) / item_size]
  local worked, repair, detail = pcall(put_right, id, task, where, seen, expires_at)
  if not worked then
    detail = type(repair) == 'table' and repair.err or tostring(repair)
    repair = 'failed'
  end
  replies[#replies + 1] = repair
  replies[#replies + 1] = detail
  changed = changed or (dry ~= '1' and not nothing_done[repair])
  effort = effort + effort_of_one
  if effort > tonumber(effort_limit) then break end
end
return changed and note(replies) or replies
