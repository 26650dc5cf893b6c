local function holds(token, message, state, receipt)
  -- Whether the taking of a task by the call with this token still lasts. Its receipt (see dequeue.lua) is that token and the SHA-1
  -- of the message that was taken: so the message is byte for byte that one, or somebody else has had the task in hand since.
  return message and state == 'active' and receipt == token .. redis.sha1hex(message)
end
