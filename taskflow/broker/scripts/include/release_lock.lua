-- Deletes the unique lock of a task, if the task still holds it. Needs: unique_prefix.
local function read_text(message, field)
  -- What is in a field of a protobuf message, or false; and whether the message could be read to its end.
  local at, size, found = 1, #message, false
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
    if not tag then return found, false end
    local wire = tag % 8
    if wire == 2 then
      local length = varint()
      if not length or at + length - 1 > size then return found, false end
      if math.floor(tag / 8) == field then found = found or string.sub(message, at, at + length - 1) end
      at = at + length
    elseif wire == 0 then
      if not varint() then return found, false end
    elseif wire == 1 then
      at = at + 8
    elseif wire == 5 then
      at = at + 4
    else
      return found, false
    end
  end
  return found, size > 0 and at == size + 1
end
local function release_lock(id, lock, message)
  -- Field 10 of the message: for a grouped task, Go writes its lock nowhere else.
  lock = lock or (message and read_text(message, 10))
  -- A message may name any key: only a lock of this very queue is deleted.
  if lock and string.sub(lock, 1, #unique_prefix) == unique_prefix and redis.pcall('GET', lock) == id then
    redis.call('DEL', lock)
  end
end
