-- ARGV: queue, n, lease, token, worker, rate, concurrency, then the worker's labels.
-- Returns why there are no more ("", "paused", "full", "rate"), for how many
-- milliseconds to wait when "rate", the ids, the messages, and of those that did not
-- end well before: index from 0, failures, crashes.
local k = Q.open(ARGV[1])
local call, now, p = Q.call, Q.now, k.p
local n, lease, token, worker = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local rate, most = tonumber(ARGV[6]), tonumber(ARGV[7])

local function hungry(why)
  call('SADD', p .. 'hungry', worker)
  return {why, 0, {}, {}, {}}
end

-- Without any of these, as most queues are most of the time, much need not be asked.
local special = Q.any(k, 'paused', 'lanes', 'u', 'a', 'c', 'watched')
if special and call('GET', p .. 'paused') == 'pause' then return hungry('paused') end
if most > 0 then
  n = math.min(n, most - call('ZCARD', p .. 'lease'))
  if n <= 0 then return hungry('full') end
end
local tokens
if rate > 0 then
  local bucket = call('HMGET', p .. 'rate', 'n', 'at')
  local burst = math.max(1, rate / 10)
  local since = math.max(0, now - tonumber(bucket[2] or now))
  tokens = math.min(burst, tonumber(bucket[1] or burst) + since * rate / 1000)
  if tokens < 1 then return {'rate', math.ceil((1 - tokens) * 1000 / rate), {}, {}, {}} end
  n = math.min(n, math.floor(tokens))
end

local popped = {}
local function take(list)
  if #popped >= n then return end
  for _, id in ipairs(call('RPOP', list, n - #popped) or {}) do popped[#popped + 1] = id end
end

-- has says whether the worker has every label of a lane "#a=b,c=d".
local labels = {}
for i = 8, #ARGV do labels[ARGV[i]] = true end
local function has(lane)
  for label in lane:sub(2):gmatch('[^,]+') do
    if not labels[label] then return false end
  end
  return true
end

local lanes = special and call('ZRANGE', p .. 'lanes', 0, -1) or {}
local function lane(name)
  local list = p .. 'pending:' .. name
  take(list)
  if call('EXISTS', list) == 0 then call('ZREM', p .. 'lanes', name) end
end
if #lanes > 0 then
  lane('@' .. worker)
  for _, name in ipairs(lanes) do
    if name:sub(1, 1) == '#' and has(name) then lane(name) end
  end
  lane('high')
end
take(k.pending)
if #lanes > 0 and #popped < n then lane('low') end
if #popped == 0 then return {'', 0, {}, {}, {}} end

-- What is no id of a task was pushed by a program that knows nothing of ids. An id
-- that a worker has already, because a hand pushed it again, is not given out twice.
local ids, messages, seen = {}, {}, {}
local leased = call('ZMSCORE', p .. 'lease', unpack(popped))
for i, msg in ipairs(call('HMGET', p .. 'm', unpack(popped))) do
  local id = popped[i]
  if not msg then
    msg = 'R' .. id
    repeat id = 'raw-' .. call('INCR', p .. 'seq') until call('HSETNX', p .. 'm', id, msg) == 1
  end
  if not leased[i] and not seen[id] then
    ids[#ids + 1], messages[#messages + 1] = id, msg
    seen[id] = true
  end
end
if #ids == 0 then return {'', 0, {}, {}, {}} end
-- Numbers that scripts give to commands are formatted each time: strings are not.
local deadline = string.format('%.0f', now + lease)
local deadlines, owners = {}, {}
for i, id in ipairs(ids) do
  deadlines[2 * i - 1], deadlines[2 * i] = deadline, id
  owners[2 * i - 1], owners[2 * i] = id, token
end
Q.many('ZADD', p .. 'lease', deadlines)
-- Redis keeps a small hash as a list, and searches all of it for each field. A long
-- value makes it a table, which it stays for as long as there is anything in it.
local apt = #ids <= 8 or redis.pcall('OBJECT', 'ENCODING', p .. 'own') == 'hashtable'
if not apt then call('HSET', p .. 'own', '', ('-'):rep(512)) end
Q.many('HSET', p .. 'own', owners)
if not apt then call('HDEL', p .. 'own', '') end
Q.many('LPUSH', 'worker_list:' .. worker, ids)
if tokens then
  call('HSET', p .. 'rate', 'n', tostring(tokens - #ids), 'at', now)
  call('PEXPIRE', p .. 'rate', 60000)
end

local histories = {}
if special then
  Q.unlock(k, ids, 's')
  if Q.any(k, 'watched') then Q.tell(k, 'started', ids, 'worker', worker) end
  local failures, crashes = call('HMGET', p .. 'a', unpack(ids)), call('HMGET', p .. 'c', unpack(ids))
  for i in ipairs(ids) do
    if failures[i] or crashes[i] then
      histories[#histories + 1] = i - 1
      histories[#histories + 1] = tonumber(failures[i] or 0)
      histories[#histories + 1] = tonumber(crashes[i] or 0)
    end
  end
end
return {'', 0, ids, messages, histories}
