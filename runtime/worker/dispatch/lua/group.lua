-- Makes the group of dispatchers: from what was dispatched last, or from the
-- beginning of the stream when nothing was. ARGV: stream, group.
local at = redis.call('GET', 'rsm:dispatch:at') or '0'
local made = redis.pcall('XGROUP', 'CREATE', ARGV[1], ARGV[2], at, 'MKSTREAM')
if made.err and not made.err:find('BUSYGROUP', 1, true) then return made end
return at
