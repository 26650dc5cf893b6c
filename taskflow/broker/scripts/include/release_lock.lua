-- Deletes the unique lock of a task, if the task still holds it. Needs: unique_prefix.
local function lock_in(message)
  -- Field 10 of the protobuf message: for a grouped task, Go writes its lock nowhere else.
  local at, size = 1, #message
  local function varint()
    local value, factor = 0, 1
    while at <= size do
      local byte = string.byte(message, at)
      at = at + 1
      value = value + byte % 128 * factor
      if byte < 128 then return value end
      factor = factor * 128
    end
    return false
  end
  while at <= size do
    local tag = varint()
    if not tag then return false end
    local wire = tag % 8
    if wire == 2 then
      local length = varint()
      if not length or at + length - 1 > size then return false end
      if math.floor(tag / 8) == 10 then return string.sub(message, at, at + length - 1) end
      at = at + length
    elseif wire == 0 then
      varint()
    elseif wire == 1 then
      at = at + 8
    elseif wire == 5 then
      at = at + 4
    else
      return false
    end
  end
  return false
end
local function release_lock(id, lock, message)
  lock = lock or (message and lock_in(message))
  -- A message may name any key: only a lock of this very queue is deleted.
  if lock and string.sub(lock, 1, #unique_prefix) == unique_prefix and redis.pcall('GET', lock) == id then
    redis.call('DEL', lock)
  end
end
