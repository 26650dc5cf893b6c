local function read_task(task, ...)
  -- A task key that is no hash counts as no task: one bad id must not stop what is done for a hundred.
  local fields = redis.pcall('HMGET', task, ...)
  if fields.err then return {} end
  return fields
end
