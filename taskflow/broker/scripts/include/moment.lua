-- A moment of an item: a Unix time, or + and a number of seconds from now. Needs: now.
local function moment(text)
  return tonumber(text) + (string.sub(text, 1, 1) == '+' and now or 0)
end
