-- Adds messages to the stream that were only published. ARGV: stream, stream of the
-- dead, the mark; then of each message its number after the mark, its id or "", why it
-- is refused or "", and itself. Returns how many were added, came twice, were refused,
-- and were heard too late.
local call = redis.call
local stream, dead, mark = ARGV[1], ARGV[2], ARGV[3]
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if now - tonumber(mark:match('^%d+')) > 60000 then return {0, 0, 0, (#ARGV - 3) / 4} end
call('XLEN', stream) -- fails before anything is written when it is no stream
local key = 'rsm:bridge:' .. mark
if call('EXISTS', key) == 0 then -- lost by a failover, with all that was added
  call('SADD', key, '')
  call('PEXPIRE', key, 120000)
end

local tail
local function there(message)
  if not tail then
    tail = {}
    for _, entry in ipairs(call('XREVRANGE', stream, '+', '-', 'COUNT', 500)) do tail[entry[2][2]] = true end
  end
  return tail[message]
end

local out = {0, 0, 0, 0}
for i = 4, #ARGV, 4 do
  local id, why, message = ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if call('SADD', key, ARGV[i]) == 1 then
    if why ~= '' then
      call('XADD', dead, 'MAXLEN', '~', 1000, '*', 'reason', why, 'id', '', 'j', message)
      out[3] = out[3] + 1
    elseif id ~= '' and (there(message) or not call('SET', 'rsm:bridge:id:' .. id, 1, 'NX', 'PX', 600000)) then
      out[2] = out[2] + 1
    else
      call('XADD', stream, '*', 'j', message)
      out[1] = out[1] + 1
    end
  end
end
return out
