// Package lease lets one of many services act on a cluster, without a key
// anywhere: the lease is a place in a queue of connections to the cluster's
// Sentinels.
//
//	l := lease.New("lain", sentinels, lease.Options{Owner: "host-1:812"})
//	go l.Run(ctx)
//	if err := l.Held(ctx); err != nil { … } // before each step
//
// Whoever wants the lease keeps a connection to each Sentinel, named by CLIENT
// SETNAME rsm-lease:CLUSTER:OWNER:TOKEN. A Sentinel numbers its connections, so
// CLIENT LIST shows which of those of one cluster is first. Who is first on a
// majority has the lease. A Sentinel that refuses connections is down and does
// not count; one that does not answer counts as somebody else's vote.
//
// What keeps two from having it at the same time is in three numbers, all of the
// services' own clocks, which need not agree:
//
//   - An answer counts only if it comes within 400 ms, and so does the naming of a
//     connection. So the looks of two services cannot be far apart, and nobody
//     gets in front of a queue later than 400 ms after his number was given out.
//   - Who is first counts only after 500 ms, on the same connection. So who lost
//     his place has finished his look before the next one's counts.
//   - The same holds for a Sentinel that is down: it was refused again and again
//     for 500 ms, with no gap in which somebody else could have won there.
//
// A process that hangs keeps its connections. When its first one was silent for
// longer than TTL, whoever waits behind it kills it (CLIENT KILL ID).
package lease
