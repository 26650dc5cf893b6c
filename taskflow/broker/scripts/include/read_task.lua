local function read_task(task, ...)
  -- A key of a task that holds no hash counts as no task: an error here would stop the work for all ids of the call.
  local fields = redis.pcall('HMGET', task, ...)
  if fields.err then return {} end
  return fields
end
