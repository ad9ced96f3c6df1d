// Package dispatch is the dispatcher: it hands each event to the handlers that it is
// for, as tasks of their queues, and turns events into alerts by the rules. Any
// number of dispatchers may run, and none leads.
//
//	d := dispatch.Dispatcher{Role: role, Version: "1.2.0", Log: log}
//	err := d.Run(ctx)
//
// # Events
//
// Dispatchers read the stream of events as one consumer group. What comes of an
// event is decided here, and done by one script in Redis, which first checks that
// the states of alerts are still those that the decision was made with, and that
// nobody has acknowledged the event; then it acknowledges the event, stores the
// states and adds the tasks, their ids made of the event's. So each event reaches
// each handler once in Redis, whoever is killed when. The events of a dispatcher
// that is gone go to another after two seconds. A failover to a replica that has
// not heard of the last moments takes back all of a script's effects or none, so
// that it is done again as a whole.
//
// An event that cannot be read goes to the stream Dead with the reason. So does a
// task that its queue does not take.
//
// # Programs that only publish
//
// A message that is only published on the channel, by five lines of any language,
// must enter the stream exactly once, although all dispatchers hear it, and
// although two equal messages may both be meant. Neither its content nor the time
// tells two from one heard twice. Its place does: Redis sends what is published to
// all subscribers in the same order. Now and then a script publishes a mark, a new
// name, on bus.Marks; from there every dispatcher counts, and knows a message as
// "the n-th after the mark m", as all others do. One script adds it to the stream
// unless m already has n. There is no leader to wait for, and a repeated script does
// no harm. A mark counts for a minute, by the clock of Redis, so that one who wakes
// up late adds nothing a second time. Whoever has lost the connection counts anew
// from a mark of its own.
//
// Agents write the stream themselves, and say so on bus.Marks in the same
// transaction: "in <n>" stands before n messages that are in the stream. A message
// with an id is added only if none with the same id was before, in ten minutes, nor
// an equal one among the last entries of the stream.
//
// # Time
//
// Whatever is to happen at a time is in the sorted set rsm:due: alerts, groups,
// silences, and receivers whose rate holds something back. Every dispatcher looks
// four times a second and takes what is due; who takes it has two seconds, then
// others see it again. Times are those of Redis, not of hosts.
//
// # Silent agents
//
// An event with a field "interval", in milliseconds, promises the next one. When it
// does not come, {"type":"agent","state":"silent","agent":…,"host":…,"last":…} enters
// the stream, and again each minute; when the agent is back, the same with "up" does,
// once; and after a week of silence with "gone". While events wait to be read, or
// when Redis itself was away, nobody counts as silent for that.
package dispatch

// The names of what dispatchers keep in Redis for others to read.
const (
	// Alerts is a hash of fingerprints to alert.Alert as JSON, Groups one of keys to
	// alert.Group, Budgets one of handlers to alert.Budget, Silences one of ids to
	// alert.Silence.
	Alerts   = "rsm:alerts"
	Groups   = "rsm:groups"
	Budgets  = "rsm:budgets"
	Silences = "rsm:silences"
	// Counts is a hash of alert.Status to how many alerts have it.
	Counts = "rsm:alerts:count"
	// Agents is a hash of "<host>/<agent>" to Agent as JSON; Silent is a hash of those
	// of them that are silent, to since when, in milliseconds since 1970.
	Agents = "rsm:agents"
	Silent = "rsm:agents:silent"
	// Dead is a stream of what could not be handed on, the last thousand: "reason",
	// "id" of the event, and "j", the first part of what it was.
	Dead = "rsm:ev:dead"
)

// The names of what is theirs alone. The scripts have more of them.
const (
	due       = "rsm:due"            // what is to be looked at, by time: "a:", "g:", "b:" or "s:" and its name
	passed    = "rsm:alerts:passed"  // fingerprints to when an event ended nothing, for five minutes
	revisions = "rsm:groups:rev"     // how often the alerts of a group have changed
	members   = "rsm:group:"         // and its key: fingerprints
	firing    = "rsm:firing:"        // and the name of a rule: fingerprints
	rulesKey  = "rsm:dispatch:rules" // digest of the rules that all alerts were looked at with
)

// Agent is what is known of an agent.
type Agent struct {
	Agent string `json:"agent"`
	Host  string `json:"host"`
	// Interval is what it promised, Last when its last event entered the stream, in
	// milliseconds and milliseconds since 1970.
	Interval int64 `json:"interval"`
	Last     int64 `json:"last"`
}
