// Package queue keeps tasks in the Redis of a cluster.
//
// A task is in exactly one place: the line of those that wait (pending), a lease
// (a worker runs it), the schedule (its time has not come, or it is tried again),
// or among the dead. Each move is one script, so none is lost or doubled between
// two places. Who reserves a task gets a token with it, and only the token's owner
// may end, retry or extend it: a worker that was thought dead cannot disturb the
// one that runs its task now. A task is run at least once.
//
// The keys of a queue q:
//
//	task_list (q is "default") or rsm:{q}:pending   list of ids, next one at the right
//	rsm:{q}:pending:<lane>   those of a priority, a worker or labels; rsm:{q}:lanes names them
//	rsm:{q}:m                hash of id to message
//	rsm:{q}:lease, :own      sorted set of id to deadline, hash of id to token
//	rsm:{q}:sched, :dead     sorted sets of id to run time, to time of death
//	rsm:{q}:a, :c, :err      hashes of id to failed attempts, crashes, last error
//	rsm:{q}:u, uk:<key>      unique keys: hash of id to key, and who holds a key
//	rsm:{q}:lane             hash of id to lane
//	rsm:{q}:done, :res       sorted set of id to end of retention, hash of id to result
//	rsm:{q}:s, :events       counters per day, stream of what happened
//	rsm:{q}:paused, :hungry  "pause" or "drain"; workers that wait for its end
//	worker_list:<worker>     list of ids that a worker has
//	rsm:workers, rsm:wake:<worker>   when each was last alive; what it must hear
//
// Any program may LPUSH onto the pending list what is not an id of a task, such as
// `{"type":"mail","to":"x"}`: it becomes a task with a new id when a worker takes
// it, and two equal ones are two tasks.
package queue

import (
	_ "embed"
)

// Prelude is Lua for scripts that add tasks besides what else they do, in one step.
// It stands before such a script and defines one local, Q:
//
//	local k = Q.open(queue, max)                 -- name, schema.Queue.Max
//	local said = Q.enqueue(k, id, msg, extra)    -- what Task.Encode returned, "" for no extra
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
