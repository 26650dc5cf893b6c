local function is_about(lease_token, message)
  -- A lease token (see dequeue.lua) ends with the SHA-1 of the message that was taken. Go leaves lease tokens where they are, but every way
  -- of its own out of our hands rewrites or re-queues the message: where they do not belong together, the taking is over.
  return lease_token and message and string.sub(lease_token, -40) == redis.sha1hex(message)
end
