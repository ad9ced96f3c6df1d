-- Does what comes of events and of time. ARGV, each part after its number of items:
--   stream, group, stream of the dead
--   queues: name, max
--   entries that nothing comes of
--   agents that were heard: name, what is known of it, deadline
--   units: see unit.words
-- Each unit is done as a whole or not at all. Returns the time, how many tasks were
-- added, were there, were refused and were of an event that came twice, then "ok",
-- "gone" (somebody else has done it) or "conflict" (a state has changed) per unit.
local call = redis.call
local at = 0
local function word() at = at + 1; return ARGV[at] end
local function number() return tonumber(word()) end
local stream, group, dead = word(), word(), word()

local queues = {}
for i = 1, number() do
  queues[i] = Q.open(word(), word())
  Q.admit(queues[i]) -- before events are acknowledged
end

local last
local n = number()
for i = at + 1, at + n, 4000 do
  call('XACK', stream, group, unpack(ARGV, i, math.min(i + 3999, at + n)))
end
at = at + n
if n > 0 then last = ARGV[at] end

n = number()
if n > 0 then
  local known, deadlines = {}, {}
  local silent = call('EXISTS', 'rsm:agents:silent') == 1
  for _ = 1, n do
    local name, value, deadline = word(), word(), word()
    known[#known + 1], known[#known + 2] = name, value
    if silent and call('HDEL', 'rsm:agents:silent', name) == 1 then
      call('XADD', stream, '*', 'j', '{"type":"agent","state":"up",' .. value:sub(2))
      call('ZADD', 'rsm:agents:due', deadline, name)
    else
      deadlines[#deadlines + 1], deadlines[#deadlines + 2] = deadline, name
    end
  end
  Q.many('HSET', 'rsm:agents', known)
  for i = 1, #deadlines, 4000 do
    call('ZADD', 'rsm:agents:due', 'GT', unpack(deadlines, i, math.min(i + 3999, #deadlines)))
  end
end

-- twice tells whether the tasks of an event of this id were added already. Ids are
-- remembered for a quarter of an hour, or up to half an hour.
local period = 900000
local window = math.floor(Q.now / period)
local function twice(id)
  local key = 'rsm:dispatch:ids:'
  if call('SISMEMBER', key .. (window - 1), id) == 1 or call('SADD', key .. window, id) == 0 then return true end
  call('PEXPIRE', key .. window, 2 * period)
  return false
end

local out = {Q.now, 0, 0, 0, 0}
local function add(queue, id, msg, extra, entry)
  local said = Q.enqueue(queues[queue], id, msg, extra)
  if said == 'added' then
    out[2] = out[2] + 1
  elseif said == 'full' or said == 'draining' then
    out[4] = out[4] + 1
    call('XADD', dead, 'MAXLEN', '~', 1000, '*', 'reason', 'queue ' .. queues[queue].name .. ' is ' .. said .. ': task ' .. id,
      'id', entry, 'j', msg:sub(1, 16384))
  else
    out[3] = out[3] + 1
  end
end

-- touch makes every group due.
local function touch()
  for _, key in ipairs(call('HKEYS', 'rsm:groups')) do
    call('HINCRBY', 'rsm:groups:rev', key, 1)
    call('ZADD', 'rsm:due', Q.now, 'g:' .. key)
  end
end

n = number()
for u = 1, n do
  local entry, origin = word(), word()
  local said = 'ok'
  local states = number()
  local from = at
  for _ = 1, states do
    local have = call('HGET', word(), word())
    if (have and redis.sha1hex(have) or '') ~= word() then said = 'conflict' end
    at = at + 1
  end
  if said == 'ok' and entry ~= '' then
    if call('XACK', stream, group, entry) == 0 then said = 'gone' end
    last = entry
  end
  if said == 'ok' then
    for i = from + 1, from + 4 * states, 4 do
      local after = ARGV[i + 3]
      if after == '-' then
        call('HDEL', ARGV[i], ARGV[i + 1])
      elseif after ~= '=' then
        call('HSET', ARGV[i], ARGV[i + 1], after)
      end
    end
  end
  for _ = 1, number() do
    local words = number()
    if said == 'ok' then
      if ARGV[at + 1] == 'TOUCH' then touch() else call(unpack(ARGV, at + 1, at + words)) end
    end
    at = at + words
  end
  local tasks = number()
  if said == 'ok' and tasks > 0 and origin ~= '' and twice(origin) then
    out[5] = out[5] + tasks
  elseif said == 'ok' then
    for i = at + 1, at + 4 * tasks, 4 do
      add(tonumber(ARGV[i]), ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], entry)
    end
  end
  at = at + 4 * tasks
  out[#out + 1] = said
end

for _, k in ipairs(queues) do Q.close(k) end
if last then call('SET', 'rsm:dispatch:at', last) end
return out
