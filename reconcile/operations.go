package reconcile

// Where the queues, handlers and rules of a cluster are in its Redis, for the
// dispatchers and workers that follow them. Only rsm's reconcile writes there.
const (
	// OperationsKey is a hash: "queue/<name>", "handler/<name>" and "rule/<name>"
	// to the JSON of schema.Queue, schema.Handler and schema.Rule, and "digest" to
	// the name of it all.
	OperationsKey = "rsm:operations"
	// OperationsChannel hears the digest when it has changed.
	OperationsChannel = "rsm:operations"
)
