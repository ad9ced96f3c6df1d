-- ARGV: worker. Returns the server's time in milliseconds.
Q.call('ZADD', 'rsm:workers', Q.now, ARGV[1])
return Q.now
