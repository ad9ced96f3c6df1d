package queue

import (
	_ "embed"

	"github.com/redis/go-redis/v9"
)

// Prelude is Lua for scripts that add tasks besides what else they do, in one step.
// It stands before such a script and defines one local, Q:
//
//	local k = Q.open(queue, max)                 -- name, schema.Queue.Max
//	local said = Q.enqueue(k, id, msg, extra)    -- what Task.Encode returned
//	Q.close(k)                                   -- once, after the last of this queue
//
// said is "added"; "exists" for an id that the queue has or whose result it keeps;
// "unique <id>" when another task holds its key; "full" or "draining" when it was
// not taken. Several queues may be open. Q.now is the server's time in
// milliseconds. Names of keys are made of the queue's name in the script: KEYS may
// be empty, as Redis Cluster is not meant.
//
//go:embed lua/prelude.lua
var Prelude string

var (
	//go:embed lua/moves.lua
	moves string
	//go:embed lua/enqueue.lua
	enqueueText string
	//go:embed lua/reserve.lua
	reserveText string
	//go:embed lua/ack.lua
	ackText string
	//go:embed lua/nack.lua
	nackText string
	//go:embed lua/extend.lua
	extendText string
	//go:embed lua/tick.lua
	tickText string
	//go:embed lua/remove.lua
	removeText string
	//go:embed lua/requeue.lua
	requeueText string
	//go:embed lua/mode.lua
	modeText string
	//go:embed lua/beat.lua
	beatText string
)

// enqueueSource is kept, as a pipeline needs it when the server lost the script.
var enqueueSource = Prelude + enqueueText

// The scripts. redis.Script sends the digest, and the text when the server does not
// know it, as after a failover.
var (
	enqueueScript = redis.NewScript(enqueueSource)
	reserveScript = redis.NewScript(Prelude + moves + reserveText)
	ackScript     = redis.NewScript(Prelude + moves + ackText)
	nackScript    = redis.NewScript(Prelude + moves + nackText)
	extendScript  = redis.NewScript(Prelude + moves + extendText)
	tickScript    = redis.NewScript(Prelude + moves + tickText)
	removeScript  = redis.NewScript(Prelude + moves + removeText)
	requeueScript = redis.NewScript(Prelude + moves + requeueText)
	modeScript    = redis.NewScript(Prelude + moves + modeText)
	beatScript    = redis.NewScript(Prelude + beatText)
)
