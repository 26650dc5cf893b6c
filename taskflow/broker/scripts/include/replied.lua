-- If this is a repetition, and the first copy changed something: replies what that one replied, and ends. Needs: resent, answer.
local noted = resent == '1' and redis.call('GET', answer)
if noted then return cmsgpack.unpack(noted) end
local function note(reply)
  -- A minute: no caller repeats a call for so long.
  redis.call('SET', answer, cmsgpack.pack(reply), 'EX', 60)
  return reply
end
