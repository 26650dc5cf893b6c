local function history(crashes, recoveries, first_failed_at, expires_at)
  -- One text for four numbers, and an empty one for most tasks: each word of a reply costs time in the server and in the worker.
  if not (crashes or recoveries or first_failed_at or expires_at) then return '' end
  return string.format('%.0f %.0f %.0f %.6f', tonumber(crashes) or 0, tonumber(recoveries) or 0, tonumber(first_failed_at) or 0,
    tonumber(expires_at) or 0)
end
