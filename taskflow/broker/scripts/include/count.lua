if count > 0 then
  local ninety_days = 7776000
  -- A total at 2^63-1 starts again, as in Go, instead of failing the script after its writes.
  local counted = redis.pcall('INCRBY', total, count)
  if type(counted) == 'table' and counted.err then redis.call('SET', total, count) end
  if redis.call('INCRBY', day, count) == count then redis.call('EXPIREAT', day, this_second + ninety_days) end
end
