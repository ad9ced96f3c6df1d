-- ARGV: queue, limit, crashes, retention of dead tasks, time after which the tasks of
-- a worker that is gone go to others (0: never). Returns how many milliseconds until
-- the next thing is due, -1 for nothing, then how many it moved.
local k = Q.open(ARGV[1])
local call, now, p = Q.call, Q.now, k.p
local limit, crashes, retention, reassign = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local moved = 0

local function past(name, before)
  local ids = call('ZRANGEBYSCORE', p .. name, '-inf', before, 'LIMIT', 0, limit)
  if #ids > 0 then Q.many('ZREM', p .. name, ids) end
  moved = moved + #ids
  return ids
end

local due = past('sched', now)
local lanes = Q.lanes(k, due)
for i, id in ipairs(due) do Q.push(k, id, lanes[i]) end

local expired = call('ZRANGEBYSCORE', p .. 'lease', '-inf', now, 'LIMIT', 0, limit)
lanes = Q.lanes(k, expired)
local recovered = {}
for i, id in ipairs(expired) do
  Q.leave(k, Q.owner(call('HGET', p .. 'own', id)), {id})
  local died = call('HINCRBY', p .. 'c', id, 1)
  if died >= crashes then
    Q.bury(k, id, 'poison: ' .. died .. ' times, its worker died or lost it while it ran')
  else
    Q.push(k, id, lanes[i], true)
    recovered[#recovered + 1] = id
  end
end
if #recovered > 0 then
  Q.count(k, 'recovered', #recovered)
  Q.tell(k, 'recovered', recovered)
end

local old = past('dead', now - retention)
Q.unlock(k, old, '', true)
Q.forget(k, old)
local kept = past('done', now)
if #kept > 0 then Q.many('HDEL', p .. 'res', kept) end

-- abandoned moves what waits for a worker that is gone to the shared line.
local function abandoned(name, since)
  local alive = call('ZSCORE', 'rsm:workers', name:sub(2)) or 0
  if now - math.max(tonumber(alive), since) < reassign then return end
  local list = p .. 'pending:' .. name
  local ids = call('RPOP', list, limit) or {}
  if #ids > 0 then
    Q.many('HDEL', p .. 'lane', ids)
    Q.tell(k, 'reassigned', ids, 'worker', name:sub(2))
    for _, id in ipairs(ids) do Q.push(k, id) end
    moved = moved + #ids
  end
  if call('EXISTS', list) == 0 then call('ZREM', p .. 'lanes', name) end
end
if reassign > 0 then
  local all = call('ZRANGE', p .. 'lanes', 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    if all[i]:sub(1, 1) == '@' then abandoned(all[i], tonumber(all[i + 1])) end
  end
end

-- Counters of 30 days are kept.
if call('HLEN', p .. 's') > 300 then
  for _, field in ipairs(call('HKEYS', p .. 's')) do
    if tonumber(field:match('^%d+') or 0) < now / 86400000 - 30 then call('HDEL', p .. 's', field) end
  end
end
call('ZREMRANGEBYSCORE', 'rsm:workers', '-inf', now - 7 * 86400000)
if #expired > 0 then Q.feed(k) end
Q.close(k)

local next = -1
for _, name in ipairs({'sched', 'lease'}) do
  local first = call('ZRANGE', p .. name, 0, 0, 'WITHSCORES')[2]
  if first then
    local wait = math.max(0, tonumber(first) - now)
    if next < 0 or wait < next then next = wait end
  end
end
return {next, moved + #expired}
