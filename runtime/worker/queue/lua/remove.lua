-- ARGV: queue, "cancel" or "delete", ids. Cancel takes what waits or runs, delete what
-- waits or has ended. Returns where each was, "" when it is not there, "no" when it is
-- where this does not reach.
local k = Q.open(ARGV[1])
local call, p = Q.call, k.p
local cancel = ARGV[2] == 'cancel'

local function place(id)
  if call('ZSCORE', p .. 'done', id) then return 'done' end
  if call('HEXISTS', p .. 'm', id) == 0 then return '' end
  for name, state in pairs({lease = 'active', sched = 'scheduled', dead = 'dead'}) do
    if call('ZSCORE', p .. name, id) then return state end
  end
  return 'pending'
end

local function running(id)
  local token = call('HGET', p .. 'own', id) or ''
  local worker = Q.owner(token)
  Q.leave(k, worker, {id})
  Q.wake(worker, 'cancel ' .. ARGV[1] .. ' ' .. token .. ' ' .. id)
end

local function remove(id)
  local state = place(id)
  if state == '' then return state end
  if state == 'active' and not cancel or cancel and (state == 'dead' or state == 'done') then return 'no' end
  if state == 'active' then
    running(id)
  elseif state == 'pending' then
    local lane = call('HGET', p .. 'lane', id)
    call('LREM', lane and p .. 'pending:' .. lane:gsub('^%+', '') or k.pending, 1, id)
  elseif state == 'done' then
    call('ZREM', p .. 'done', id)
    call('HDEL', p .. 'res', id)
    return state
  else
    call('ZREM', p .. (state == 'dead' and 'dead' or 'sched'), id)
  end
  Q.unlock(k, {id}, 'sdt', true)
  Q.forget(k, {id})
  return state
end

local out, gone = {}, {}
for i = 3, #ARGV do
  out[#out + 1] = remove(ARGV[i])
  if out[#out] ~= '' and out[#out] ~= 'no' then gone[#gone + 1] = ARGV[i] end
end
if #gone > 0 then
  local what = cancel and 'cancelled' or 'deleted'
  Q.count(k, what, #gone)
  Q.tell(k, what, gone)
  Q.feed(k)
  Q.close(k)
end
return out
