-- Where a task is, and out of there. Needs: active, lease, groups, aggregation_sets, group_prefix.
local function held(id)
  -- That the hash says active does not prove that somebody has the task: Go's archive script can fail half-way and leave it so.
  return redis.call('ZSCORE', lease, id) or redis.call('LPOS', active, id)
end
local function leave_group(id, group)
  if not group or group == '' then return false end
  local key = group_prefix .. group
  if redis.call('ZREM', key, id) == 0 then return false end
  if redis.call('EXISTS', key) == 0 then redis.call('SREM', groups, group) end
  return true
end
local function set_of(id)
  -- A registration may be the name of any key: only those of this queue's groups are touched.
  for _, key in ipairs(redis.call('ZRANGE', aggregation_sets, 0, 99)) do
    if string.sub(key, 1, #group_prefix) == group_prefix and redis.call('ZSCORE', key, id) then return key end
  end
  return false
end
