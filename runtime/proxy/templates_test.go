package proxy_test

// The commands of random streams, one per line, or several with " ; " between
// them that belong together. A word with bars is one of several, "" among them
// stands for no word; a word with a dollar is made up, see (*generator).word.
//
// Not here, because two servers answer them differently by nature: CLIENT ID,
// LIST, INFO; INFO, TIME, LASTSAVE, ROLE, LOLWUT; RANDOMKEY, SPOP, SRANDMEMBER,
// HRANDFIELD, ZRANDMEMBER; SCAN, HSCAN, SSCAN, ZSCAN, KEYS, COMMAND LIST and whatever else lists a
// hash table in its order (sets are of integers, so they have one); TTL and
// expiries relative to now; OBJECT IDLETIME, FREQ; XINFO CONSUMERS, XPENDING of
// one entry, "*" in XADD; MEMORY, LATENCY, SLOWLOG, DEBUG; ACL GENPASS, LIST.
// UNSUBSCRIBE of several channels that are not named; SHUTDOWN, REPLICAOF and
// the like would end the test instead. Hashes and sorted sets stay small enough to
// be lists in memory, which have an order.
const dataTemplates = `
set $s $v
set $s $v nx|xx|get
set $s $v exat $future
get $s
get $k
getset $s $v
getdel $s
getex $s |persist
getrange $s $i $i
substr $s $i $i
setrange $s $small $v
setnx $s $v
mset $s $v $s $v
msetnx $s $v $s $v
mget $s $s $k
append $s $v
strlen $s
incr|decr $n
incrby|decrby $n $i
incrbyfloat $n $f
get $n
lcs $n $n |len|idx
setbit $b $small 0|1
getbit $b $small
bitcount $b
bitcount $b $i $i |bit|byte
bitpos $b 0|1 |$i
bitop and|or|xor $b $b $b
bitop not $b $b
bitfield $b set u8 $small $small get i5 3 incrby u4 #2 $small
bitfield $b overflow fail|sat incrby u2 0 3
bitfield_ro $b get u8 $small
hset $h $m $w $m $w
hset $h $m $w
hsetnx $h $m $w
hget $h $m
hmget $h $m $m $m
hmset $h $m $w
hgetall|hkeys|hvals|hlen $h
hdel $h $m $m
hexists|hstrlen $h $m
hincrby $h counter $i
hincrbyfloat $h float $f
lpush|rpush $l $v $v
lpushx|rpushx $l $v
lpop|rpop $l
lpop|rpop $l $small
lrange $l $i $i
lindex $l $i
lset $l $i $v
linsert $l before|after $m $v
lrem $l $i $m
llen $l
ltrim $l $i $i
lpos $l $m
lpos $l $m rank -1|1 count 0|2
lmove $l $l left|right left|right
rpoplpush $l $l
lmpop 2 $l $l left|right count 2
sadd|srem $t $i $i $i
sismember $t $i
smismember $t $i $i
smembers|scard $t
smove $t $t $i
sinter|sunion|sdiff $t $t
sinterstore|sunionstore|sdiffstore $t $t $t
sintercard 2 $t $t limit $small
sort $t desc|asc limit 0 3
sort $t by nosort|w* get # |
sort $l alpha|
sort $t store $l
sort_ro $t
zadd $z $f $m $f $m
zadd $z nx|xx|gt|lt ch| $f $m
zadd $z incr $f $m
zincrby $z $f $m
zscore|zrank|zrevrank $z $m
zmscore $z $m $m
zcard $z
zcount $z -inf|(1 $i
zlexcount $z [a|- +|(c
zrange $z $i $i |withscores|rev
zrange $z -inf +inf byscore limit 0 2
zrange $z - + bylex
zrangebyscore $z ($i +inf withscores|
zrevrange $z 0 -1 withscores|
zrangestore $z $z 0 2
zrem $z $m $m
zremrangebyrank $z 0 $small
zremrangebyscore $z -inf $i
zpopmin|zpopmax $z |2
zmpop 1 $z min|max
zunion|zinter|zdiff 2 $z $z withscores|
zunionstore|zinterstore $z 2 $z $z weights 1 2 aggregate sum|max
zdiffstore $z 2 $z $z
zintercard 2 $z $z
xadd $x $id $m $v
xadd $x maxlen ~|= 10 $id $m $v $m $v
xadd $x nomkstream $id $m $v
xlen $x
xrange $x - + count 3
xrevrange $x + -
xdel $x $id
xtrim $x maxlen $small
xread count 2 streams $x $x 0 $id
xgroup create $x g1 0|$ |mkstream
xgroup createconsumer $x g1 c1
xgroup destroy $x g1
xreadgroup group g1 c1 count 2 streams $x >|0
xack $x g1 $id
xpending $x g1
xclaim $x g1 c2 0 $id justid
xautoclaim $x g1 c2 0 0 count 2 justid
xinfo groups|stream $x
xsetid $x 99999-1
geoadd $g $lon $lat $m
geoadd $g nx|xx|ch $lon $lat $m
geodist $g $m $m |km|parsec
geohash $g $m $m
geopos $g $m $m
geosearch $g fromlonlat 13 38 byradius 900 km asc withdist|withcoord|withhash
geosearch $g frommember $m bybox 400 400 km desc count 2
georadius $g 13 38 900 km asc |withdist
georadius_ro $g 13 38 900 km asc
georadiusbymember $g $m 900 km asc
geosearchstore $g $g fromlonlat 13 38 byradius 900 km
pfadd $p $m $m $v
pfcount $p
pfcount $p $p
pfmerge $p $p $p
del|unlink $k
del $s $h $l $k
exists|touch $k $k
type $k
dump $n
rename|renamenx $k $k
copy $k $k |replace
move $k 1
persist $k
expireat $k $future |nx|xx|gt|lt
expireat $k 1000
pexpireat $k 1000
expiretime|pexpiretime $k
ttl|pttl nosuchkey
object encoding|refcount $k
dbsize
keys s1
ping
ping $v
echo $v
publish ch:none $v
pubsub numsub ch:none
command count
command info get set nosuch
command getkeys mset a b c d
config get maxmemory
wait 0 5
swapdb 0 1
acl whoami
acl cat nosuch
client getname
client setname name-$small
client kill addr nosuch
script exists ffffffffffffffffffffffffffffffffffffffff
`

// scriptTemplates run code on the server.
const scriptTemplates = `
eval $lua 2 $s $h $v
eval $lua 2 $l $h $v
eval_ro $lua 2 $s $h $v
eval $lua 0
script load $lua
script exists $sha $sha
evalsha $sha 2 $s $h $v
script flush
function load |replace $lib
function delete lib1
function list
fcall f1 1 $s $v
fcall_ro f1 1 $s
fcall nosuch 0
`

// blockingTemplates end within some milliseconds.
const blockingTemplates = `
blpop|brpop $l $l 0.01
blmove $l $l left right 0.01
brpoplpush $l $l 0.01
blmpop 0.01 2 $l $l left|right
bzpopmin|bzpopmax $z 0.01
bzmpop 0.01 1 $z min count 2
xread count 1 block 10 streams $x $
xread block 10 streams $x 0
xreadgroup group g1 c1 block 10 streams $x >
blpop $l x
blpop $l -1
blpop $l
wait 1 10
`

// feedTemplates block until another connection has sent what is right of the
// arrow. Their keys are empty before.
const feedTemplates = `
blpop q1 q2 9 ; llen q2 => rpush q2 $v $v
brpop q1 9 ; get $s => rpush q1 $v $v
blmove q1 q2 left right 9 ; lrange q2 0 -1 => rpush q1 $v
brpoplpush q1 q2 9 => lpush q1 $v
blmpop 9 2 q1 q2 left count 2 ; llen q2 => rpush q2 a b c
blpop q1 9 ; llen q1 => multi ; rpush q1 a ; del q1 ; rpush q1 b c ; exec
blpop q1 9 => set q1 x ; del q1 ; eval $push 1 q1
bzpopmin zq 9 ; zcard zq => zadd zq 2 a 1 b
bzmpop 9 1 zq max ; ping => zadd zq 2 a 1 b
xread block 9000 streams xq $ ; xlen xq => xadd xq 1-1 a $v
xgroup create xq g $ mkstream ; xreadgroup group g c block 9000 streams xq > ; xlen xq => xadd xq 1-1 a $v
xgroup create xq g $ mkstream ; xreadgroup group g c block 9000 streams xq > ; echo $v => del xq
set q1 x ; blpop q2 9 ; get q1 => rpush q2 $v ; set q1 y
`

// brokenTemplates have error replies whatever the dataset.
const brokenTemplates = `
nosuchcommand
nosuch $v $v
get
get $s $s
set $s
set $s $v bad
set $s $v ex
set $s $v ex 0
set $s $v nx xx
getrange $s a b
incrby $n x
config
config nosuch
config get
client nosuch
client reply maybe
client kill
client tracking on bcast prefix
object nosuch $k
xgroup nosuch $x g1
xadd $x 0-0 a b
xadd $x $id a
zadd $z nan a
zadd $z nx xx 1 a
hset $h a
geoadd $g 200 100 a
bitop not $b $b $b
setbit $b 4294967296 1
select 99
select x
swapdb 0 x
evalsha ffffffffffffffffffffffffffffffffffffffff 0
eval
eval bad -1
fcall nosuch 0
function nosuch
auth a b c
auth wrong
auth nouser wrong
hello 9
hello x
hello 2 auth nouser wrong
hello 2 bad
hello 3 setname
acl setuser alice badrule
multi x
exec x
discard
exec
unwatch x
wait x 1
subscribe
publish a
restore r 0 garbage
debug
readonly
asking
reset x
lmpop 0 $l left
sintercard 0 $t
\x00\xff $v
`

// stateTemplates change their connection and stay within a turn; what a
// connection keeps is then tried by all that follows.
const stateTemplates = `
select 0|1|2|3
watch $k $k
unwatch
hello 2|3|
hello 3 setname hello-$small
auth default whatever
auth alice secret
acl setuser alice on >secret ~* &* +@all -flushdb
acl whoami
flushdb
reset
client setname c$small
client no-evict on|off
client reply on
client reply skip ; get $s
client reply off ; set $s $v ; nosuch ; client reply on
client caching yes
client tracking off
subscribe ch:$small
subscribe ch:1 ch:2 ch:1
psubscribe ch:* other:*
ssubscribe sh:1
unsubscribe ch:1 ch:9
unsubscribe ch:0 ch:1 ch:2 ch:3 ch:4 ch:5 ch:6 ch:7 ch:8 ch:9 ; unsubscribe
punsubscribe
punsubscribe ch:*
sunsubscribe
publish ch:$small $v
spublish sh:1 $v
pubsub numsub ch:1 ch:2
ping
`
