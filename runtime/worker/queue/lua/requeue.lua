-- ARGV: queue, ids of dead or scheduled tasks, which wait to be run from now on, as
-- if they were new. Returns "requeued", "missing", or "unique <id>" of each, that is
-- who has its key meanwhile.
local k = Q.open(ARGV[1])
local call, p = Q.call, k.p

local function requeue(id)
  if call('ZSCORE', p .. 'dead', id) then
    local ttl, key = (call('HGET', p .. 'u', id) or ''):match('^%a:(%d+):(.*)$')
    local holder = key and Q.lock(k, id, key, tonumber(ttl))
    if holder and holder ~= id then return 'unique ' .. holder end
    call('ZREM', p .. 'dead', id)
  elseif call('ZREM', p .. 'sched', id) == 0 then
    return 'missing'
  end
  for _, name in ipairs({'a', 'c', 'err'}) do call('HDEL', p .. name, id) end
  Q.push(k, id, call('HGET', p .. 'lane', id))
  return 'requeued'
end

local out, back = {}, {}
for i = 2, #ARGV do
  out[#out + 1] = requeue(ARGV[i])
  if out[#out] == 'requeued' then back[#back + 1] = ARGV[i] end
end
if #back > 0 then
  Q.count(k, 'requeued', #back)
  Q.tell(k, 'requeued', back)
end
Q.close(k)
return out
