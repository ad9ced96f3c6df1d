// Package bus is how rsm's own roles talk through the Redis of a cluster: a client
// that finds the master through Sentinel and follows every failover, the events
// that agents publish, who of the roles is alive, and the queues, handlers and
// rules that reconcile has published for them.
//
//	client, err := bus.Connect(role.Access, bus.Options{Name: "rsm-agent-web1"})
//	err = bus.Publish(ctx, client.Client, event)
//
// An event is seen in two places, written by one transaction: the pub/sub channel
// "monitoring", where any subscriber hears it, and the stream
// "rsm:ev:monitoring", from which the dispatchers take it, so that none is lost
// when nobody listens.
package bus

// The names of what roles share in Redis.
const (
	// Channel is where events are published, and heard from programs that are no
	// agents of rsm.
	Channel = "monitoring"
	// Stream holds the same events: one field, "j", with the JSON.
	Stream = "rsm:ev:monitoring"
	// Marks is a channel that tells the dispatchers where they are in the order of all
	// messages, and which of those are in Stream: "in <n>" stands before n messages
	// that the same transaction adds there.
	Marks = "rsm:marks"
	// Group is the consumer group of the dispatchers.
	Group = "dispatch"
	// Roles is a hash of "<kind>/<name>" to Presence as JSON.
	Roles = "rsm:roles"
)
