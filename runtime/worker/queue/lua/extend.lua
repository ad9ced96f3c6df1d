-- ARGV: queue, lease, then id and token of each. Returns the ids that were lost to
-- another worker, and those that were cancelled.
local p = Q.open(ARGV[1]).p
local ids, tokens = {}, {}
for i = 3, #ARGV, 2 do
  ids[#ids + 1], tokens[#tokens + 1] = ARGV[i], ARGV[i + 1]
end
local good, lost = Q.owned({p = p}, ids, tokens)
local deadline = string.format('%.0f', Q.now + ARGV[2])
local deadlines = {}
for _, i in ipairs(good) do
  deadlines[#deadlines + 1] = deadline
  deadlines[#deadlines + 1] = ids[i]
end
if #deadlines > 0 then Q.many('ZADD', p .. 'lease', deadlines) end
local taken, gone = {}, {}
for _, id in ipairs(lost) do
  local to = Q.call('HEXISTS', p .. 'm', id) == 1 and taken or gone
  to[#to + 1] = id
end
return {taken, gone}
