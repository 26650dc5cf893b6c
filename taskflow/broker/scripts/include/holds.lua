local function is_ours(score)
  -- Whether a lease is one of ours, by its score: ours end half-way through a second (see dequeue.lua), and whatever Go writes is a
  -- whole one. A lease that is missing speaks for nobody: somebody has deleted it, and repair.lua writes it anew.
  return not score or score % 1 > 0
end
local function holds(token, state, receipt, score)
  -- Whether the taking of a task by the call with this token still lasts: it was the last one of ours, and Go has not taken the task
  -- since.
  return state == 'active' and receipt == token and is_ours(score)
end
