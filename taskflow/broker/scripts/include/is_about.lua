local function is_about(receipt, message)
  -- Until 0.1 a receipt ended with the SHA-1 of the message that was taken, and leases with whole seconds. Go leaves receipts where
  -- they are, but every way of its own out of our hands rewrites or re-queues the message.
  return receipt and message and string.sub(receipt, -40) == redis.sha1hex(message)
end
