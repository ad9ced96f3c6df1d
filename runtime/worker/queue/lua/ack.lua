-- ARGV: queue, worker, then id, token and "" or "<retention>|<result>" of each.
-- Returns the ids that belong to somebody else by now, or to nobody.
local k = Q.open(ARGV[1])
local ids, tokens, keep = {}, {}, {}
for i = 3, #ARGV, 3 do
  ids[#ids + 1], tokens[#tokens + 1], keep[#keep + 1] = ARGV[i], ARGV[i + 1], ARGV[i + 2]
end
local good, lost = Q.owned(k, ids, tokens)
local done = {}
for _, i in ipairs(good) do
  done[#done + 1] = ids[i]
  local retention, result = keep[i]:match('^(%d+)|(.*)$')
  if retention then
    Q.call('ZADD', k.p .. 'done', Q.now + retention, ids[i])
    Q.call('HSET', k.p .. 'res', ids[i], result)
  end
end
if #done > 0 then
  Q.leave(k, ARGV[2], done)
  Q.many('HDEL', k.p .. 'm', done)
  if Q.any(k, 'u', 'a', 'c', 'err', 'lane', 'hungry', 'watched') then
    Q.unlock(k, done, 'sd', true)
    Q.forget(k, done)
    Q.feed(k)
    if Q.any(k, 'watched') then Q.tell(k, 'done', done, 'worker', ARGV[2]) end
  end
  Q.count(k, 'done', #done)
  Q.close(k)
end
return lost
