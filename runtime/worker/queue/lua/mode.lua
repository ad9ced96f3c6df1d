-- ARGV: queue, "pause", "drain" or "" for neither.
local k = Q.open(ARGV[1])
if ARGV[2] == '' then
  Q.call('DEL', k.p .. 'paused')
  Q.tell(k, 'resumed', {})
else
  Q.call('SET', k.p .. 'paused', ARGV[2])
  Q.tell(k, ARGV[2] == 'pause' and 'paused' or 'draining', {})
end
Q.feed(k)
return 1
