local function is_about(receipt, message)
  -- A receipt (see dequeue.lua) ends with the SHA-1 of the message that was taken. Go leaves receipts where they are, but every way
  -- of its own out of our hands rewrites or re-queues the message: where they do not belong together, the taking is over.
  return receipt and message and string.sub(receipt, -40) == redis.sha1hex(message)
end
