// Package follow finds out which server is the master, and proves it.
//
// A Follower subscribes to every Sentinel of the spec, asks each of them and
// every redis node on connections that stay open, and publishes a Target after
// each answer that changes something. Nothing waits for anything else: a server
// that hangs is a fact that gets older, never a delay.
//
// # Who is the master
//
// A node is published as master only while its ROLE says so, it serves (it is not
// loading), it is in the spec, and the Sentinels stand behind it in one of
// these ways, the higher epoch first:
//
//   - A majority of all declared Sentinels names it, and so does whoever knows
//     the highest config epoch. A Sentinel with a lower epoch is stale; it counts
//     neither for another node nor against this one.
//   - Only the Sentinel with the highest config epoch names it yet, while a
//     majority answers and knows lower epochs. Sentinel raises a config epoch only
//     when the replica that an elected leader chose has become a master, and all
//     others adopt the highest epoch that they hear of. So these names are what the
//     majority says as soon as gossip has arrived, about one second later.
//   - A Sentinel announced that it promotes this node (+selected-slave), and the
//     node's ROLE has become master after that. Only the leader that was elected
//     for a new epoch by a majority (or told to by SENTINEL FAILOVER) announces it,
//     and its next act is REPLICAOF NO ONE; a node is promoted by nothing else at
//     that moment. The leader itself sees the promotion up to one second later, as
//     it reads INFO that often (Redis 7.0, sentinel.c).
//
// The last two are believed for 15 s. Without a majority by then, the first rule
// alone counts. Until then what Sentinels say at a lower epoch does not switch
// back. A single Sentinel that names a node outside the spec watches another
// cluster; after 15 s it does not count.
//
// # Proof
//
// Target.Proof is the time at which the oldest necessary piece of evidence was
// asked for: the ROLE of the master, and the answers of a majority of Sentinels of
// which none contradicts (names another node at the same or a higher epoch). When
// it is older than Config.Fence, nobody is published as master.
//
// # Hold
//
// From +selected-slave until the promotion, the old master is published with Hold
// set, as it will soon be told to forget what it takes now. The hold ends with the
// promotion, when Sentinel gives up, or after 5 s while the old master proves
// itself.
//
// What is said of Sentinel was seen with Redis 7.0.15.
package follow
