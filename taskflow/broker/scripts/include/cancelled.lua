-- Archives a task that somebody has cancelled. Needs: release_lock, archived, this_second, channel_prefix.
local function with_error(message)
  -- A text field may stand in a protobuf message twice, and the last one counts: so its error is written behind what is there. What is no
  -- message stays as it is.
  local error_field = 7
  local addition = string.char(error_field * 8 + 2, #Cancel.TEXT) .. Cancel.TEXT
  local _, is_whole = read_text(message, error_field)
  if not is_whole or string.sub(message, -#addition) == addition then return message end
  return message .. addition
end
local function archive_cancelled(id, task, message, lock)
  redis.call('HDEL', task, 'owner', 'receipt', 'pending_since', 'expires', 'cancel')
  redis.call('HSET', task, 'state', 'archived', 'error', Cancel.ERROR)
  if message then redis.call('HSET', task, 'msg', with_error(message)) end
  redis.call('ZADD', archived, this_second, id)
  release_lock(id, lock, message)
  redis.call('SPUBLISH', channel_prefix .. id, Verb.ARCHIVE)
end
