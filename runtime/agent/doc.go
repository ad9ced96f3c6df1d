// Package agent samples one host and publishes what it sees, once per interval, on
// the bus of a cluster: the use of its CPU, memory and disks as three numbers at
// the top of a JSON object, and everything else below. It also asks the
// redis-servers and Sentinels of its host for INFO. What it knows, Prometheus may
// read and Graphite gets pushed, too.
//
//	a := agent.Agent{Role: role, Version: "1.2.0", Log: log}
//	err := a.Run(ctx)
//
// Nothing that hangs holds it up: not a dead network mount, not a frozen server,
// not a Redis that is away. Samples wait in an outbox of bounded size then.
package agent
