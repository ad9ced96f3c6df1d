-- ARGV: queue, worker, then id, token, what to do (retry, snooze, back, dead), delay,
-- how often it may be run in all, and why, of each. Returns the ids that belong to
-- somebody else by now, or to nobody.
local k = Q.open(ARGV[1])
local ids, tokens, at = {}, {}, {}
for i = 3, #ARGV, 6 do
  ids[#ids + 1], tokens[#tokens + 1], at[#at + 1] = ARGV[i], ARGV[i + 1], i + 2
end
local good, lost = Q.owned(k, ids, tokens)
local left = {}
for _, i in ipairs(good) do left[#left + 1] = ids[i] end
Q.leave(k, ARGV[2], left)
local lanes = Q.lanes(k, left)
for n, i in ipairs(good) do
  local id, what, delay, most, why = ids[i], unpack(ARGV, at[i], at[i] + 3)
  if what == 'back' then
    Q.push(k, id, lanes[n], true)
  elseif what == 'snooze' then
    Q.schedule(k, id, Q.now + delay)
    if why ~= '' then Q.call('HSET', k.p .. 'err', id, why) end
  else
    local failures = Q.call('HINCRBY', k.p .. 'a', id, 1)
    Q.count(k, 'failed', 1)
    if what == 'dead' or failures >= tonumber(most) then
      Q.bury(k, id, why)
    else
      Q.call('HSET', k.p .. 'err', id, why)
      Q.schedule(k, id, Q.now + delay)
      Q.count(k, 'retried', 1)
      Q.tell(k, 'retried', {id}, 'why', why)
    end
  end
end
if #good > 0 then Q.feed(k) end
Q.close(k)
return lost
