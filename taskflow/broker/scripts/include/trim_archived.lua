if trim then
  -- At most a hundred of each kind at a time: a script that deletes thousands would stop the server, and in Go fails.
  local old = redis.call('ZRANGE', archived, '-inf', this_second - tonumber(archive_seconds), 'BYSCORE', 'LIMIT', 0, 100)
  local surplus = redis.call('ZCARD', archived) - #old - tonumber(archive_size)
  if surplus > 0 then
    for _, id in ipairs(redis.call('ZRANGE', archived, #old, #old + math.min(surplus, 100) - 1)) do old[#old + 1] = id end
  end
  for _, id in ipairs(old) do
    redis.call('DEL', task_prefix .. id)
    redis.call('ZREM', archived, id)
  end
end
