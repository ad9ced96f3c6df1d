-- ARGV: queue, max, then id, message and extra of each task.
local k = Q.open(ARGV[1], ARGV[2])
local out = {}
for i = 3, #ARGV, 3 do
  out[#out + 1] = Q.enqueue(k, ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
Q.close(k)
return out
