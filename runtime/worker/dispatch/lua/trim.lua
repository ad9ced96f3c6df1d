-- Cuts the stream, and forgets consumers that are gone. ARGV: stream, group, how many
-- entries to keep, for how many ms. What a group has not read and acknowledged stays.
local call = redis.call
if not call('SET', 'rsm:dispatch:trim', 1, 'NX', 'PX', 900) then return 0 end
local stream, group, keep, age = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local groups = redis.pcall('XINFO', 'GROUPS', stream)
if groups.err then return 0 end
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function parts(id)
  local ms, seq = id:match('^(%d+)-?(%d*)$')
  return tonumber(ms), tonumber(seq) or 0
end
local function less(a, b)
  local ams, aseq = parts(a)
  local bms, bseq = parts(b)
  return ams < bms or ams == bms and aseq < bseq
end

local floor
for _, g in ipairs(groups) do
  local f = {}
  for i = 1, #g, 2 do f[g[i]] = g[i + 1] end
  local id = f['last-delivered-id']
  if f.pending > 0 then
    local oldest = call('XPENDING', stream, f.name)[2]
    if less(oldest, id) then id = oldest end
  end
  if not floor or less(id, floor) then floor = id end
  if f.name == group then
    for _, c in ipairs(call('XINFO', 'CONSUMERS', stream, group)) do
      local k = {}
      for i = 1, #c, 2 do k[c[i]] = c[i + 1] end
      if k.pending == 0 and k.idle > 60000 then call('XGROUP', 'DELCONSUMER', stream, group, k.name) end
    end
  end
end
if call('HLEN', 'rsm:alerts:passed') > 100000 then call('DEL', 'rsm:alerts:passed') end
if not floor then return 0 end

local cut = 0
if age > 0 then
  local oldest = string.format('%.0f-0', now - age)
  if less(floor, oldest) then oldest = floor end
  cut = call('XTRIM', stream, 'MINID', '~', oldest)
end
local more = call('XLEN', stream) - keep
if keep > 0 and more > 0 then
  cut = cut + call('XTRIM', stream, 'MINID', '~', floor, 'LIMIT', more)
end
return cut
