-- List some aggregation groups with the number of tasks that wait in each.
-- moves:   -
-- keys:    groups
-- args:    cursor, limit, group_prefix
-- derives: the groups
-- flags:   no-writes
-- returns: the cursor to go on with, 0 at the end; then name, number of tasks of each group
local page = redis.call('SSCAN', groups, cursor, 'COUNT', limit)
local answer = {page[1]}
for _, name in ipairs(page[2]) do
  answer[#answer + 1] = name
  -- A key with the name of a group may hold something else: then this group counts as empty, and the others are listed.
  local size = redis.pcall('ZCARD', group_prefix .. name)
  answer[#answer + 1] = type(size) == 'number' and size or 0
end
return answer
