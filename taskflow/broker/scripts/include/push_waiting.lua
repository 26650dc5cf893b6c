for from = 1, #waiting, 1000 do
  redis.call('LPUSH', pending, unpack(waiting, from, math.min(from + 999, #waiting)))
end
