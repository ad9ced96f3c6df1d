-- Takes what is due, for two seconds, and finds agents that are silent. ARGV: stream,
-- group, how many at most, factor and grace (ms) of silence, 0 for none. Returns the time
-- and what is due.
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stream, group, most, factor, grace = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])

-- Whoever was not heard while nobody could be has time from the end of that.
local before = tonumber(call('GET', 'rsm:dispatch:look') or 0)
if now - before > 3000 then call('SET', 'rsm:dispatch:since', now) end
call('SET', 'rsm:dispatch:look', now)

local function fields(list)
  local f = {}
  for i = 1, #list, 2 do f[list[i]] = list[i + 1] end
  return f
end

-- horizon is the time up to which all events were read.
local function horizon()
  local info = redis.pcall('XINFO', 'GROUPS', stream)
  if info.err then return 0 end
  for _, g in ipairs(info) do
    local f, seen = fields(g), now
    if f.name == group then
      local id = f['last-delivered-id']
      if id ~= fields(call('XINFO', 'STREAM', stream))['last-generated-id'] then
        seen = math.min(seen, tonumber(id:match('^%d+')))
      end
      if f.pending > 0 then
        seen = math.min(seen, tonumber(call('XPENDING', stream, group)[2]:match('^%d+')))
      end
      return seen
    end
  end
  return 0
end

local function silent()
  local late = call('ZRANGEBYSCORE', 'rsm:agents:due', '-inf', now, 'LIMIT', 0, 500)
  if #late == 0 then return end
  local seen = horizon()
  local since = tonumber(call('GET', 'rsm:dispatch:since') or 0)
  local values = call('HMGET', 'rsm:agents', unpack(late))
  for i, name in ipairs(late) do
    local ok, a = pcall(cjson.decode, values[i] or '')
    if not ok or type(a) ~= 'table' or type(a.last) ~= 'number' or type(a.interval) ~= 'number' then
      call('ZREM', 'rsm:agents:due', name)
      call('HDEL', 'rsm:agents', name)
    else
      local deadline = math.max(a.last, since) + factor * a.interval + grace
      local state
      if deadline > now then
        call('ZADD', 'rsm:agents:due', deadline, name)
      elseif deadline > seen then
        call('ZADD', 'rsm:agents:due', now + 500, name)
      elseif now - a.last > 604800000 then
        state = 'gone'
        call('ZREM', 'rsm:agents:due', name)
        call('HDEL', 'rsm:agents', name)
        call('HDEL', 'rsm:agents:silent', name)
      else
        state = 'silent'
        call('ZADD', 'rsm:agents:due', now + 60000, name)
        call('HSETNX', 'rsm:agents:silent', name, string.format('%.0f', now))
      end
      if state then
        call('XADD', stream, '*', 'j', '{"type":"agent","state":"' .. state .. '",' .. values[i]:sub(2))
      end
    end
  end
end

if factor > 0 then silent() end
local found = call('ZRANGEBYSCORE', 'rsm:due', '-inf', now, 'LIMIT', 0, most)
for _, name in ipairs(found) do call('ZADD', 'rsm:due', now + 2000, name) end
return {now, found}
