-- Read one task, with its place in its state.
-- moves:   -
-- keys:    task, lease, scheduled, retry, archived, completed
-- args:    id
-- flags:   no-writes
-- returns: the server's time and the row of the task
-- @include task_row
local row = task_row(task, id, false, redis.call('ZSCORE', lease, id), true)
local sets = {scheduled = scheduled, retry = retry, archived = archived, completed = completed}
local set = sets[row[5][2]]
if set then row[2] = redis.call('ZSCORE', set, id) or '' end
return {redis.call('TIME')[1], row}
