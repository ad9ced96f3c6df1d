-- Publishes a mark. ARGV: channel, a random word, "" or how many ms must have passed
-- since the last one.
local call = redis.call
local turn = 'rsm:bridge:turn'
if ARGV[3] ~= '' and not call('SET', turn, 1, 'NX', 'PX', ARGV[3]) then return 0 end
local clock = call('TIME')
local name = string.format('%d%03d:%s', clock[1], math.floor(clock[2] / 1000), ARGV[2])
call('SADD', 'rsm:bridge:' .. name, '')
call('PEXPIRE', 'rsm:bridge:' .. name, 120000)
call('PUBLISH', ARGV[1], 'mark ' .. name)
return 1
