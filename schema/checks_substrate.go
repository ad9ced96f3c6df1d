package schema

import "strings"

// idle warns of rules and handlers that nobody looks at and of tasks that nobody
// runs.
func (d *decoder) idle(c *Cluster) {
	if o := c.Operations; len(c.Dispatchers) == 0 && len(o.Rules)+len(o.Handlers) > 0 {
		section, name := "handlers", ""
		if len(o.Rules) > 0 {
			section, name = "rules", o.Rules[0].Name
		} else {
			name = o.Handlers[0].Name
		}
		d.noDispatcher(join(section, name), c)
	}
	served := map[string]bool{}
	for _, w := range c.Workers {
		for _, q := range w.Queues {
			served[q] = true
		}
	}
	for _, h := range c.Operations.Handlers {
		if !served[h.Queue] {
			d.report(CodeNoWorker, join("handlers", h.Name), true, "no worker takes tasks from queue %s", h.Queue).Hint =
				"name the queue in workers"
		}
	}
	for _, q := range c.Operations.Queues {
		if !served[q.Name] && len(q.Tasks)+len(q.Cron) > 0 {
			d.report(CodeNoWorker, join("queues", q.Name), true, "no worker takes tasks from this queue").Hint =
				"name the queue in workers"
		}
	}
}

// noDispatcher is a mistake when there are dispatchers elsewhere.
func (d *decoder) noDispatcher(path string, c *Cluster) {
	for _, other := range d.spec.Clusters {
		if len(other.Dispatchers) > 0 {
			d.report(CodeOperations, path, true, "it is in cluster %s by its queue, but the dispatchers are in %s", c.Name, other.Name).Hint =
				"add a dispatcher for cluster " + c.Name + ", or move the queue"
			return
		}
	}
	d.report(CodeNoDispatcher, path, true, "cluster %s has no dispatcher, so that no event is handled and no rule looked at", c.Name).Hint =
		"declare two: dispatchers: {d1: {}, d2: {}}"
}

// evenly are the directives of redis.conf that must be the same on all nodes of a
// cluster with queues: each of them becomes master.
var evenly = []string{"maxmemory", "maxmemory-policy", "appendonly", "appendfsync", "save", "min-replicas-to-write", "min-replicas-max-lag"}

// substrate warns when the Redis of queues may lose tasks.
func (d *decoder) substrate(c *Cluster) {
	if len(c.Operations.Queues)+len(c.Dispatchers) == 0 {
		return
	}
	path, told := "clusters."+c.Name+".redis", map[string]bool{}
	once := func(code Code, node RedisNode, directive, format string, args ...any) {
		at := d.directiveAt(path, node.Name, directive)
		if !told[at+string(code)] {
			told[at+string(code)] = true
			d.report(code, at, !d.written(at), format, args...)
		}
	}
	for _, n := range c.Redis.Nodes {
		if policy := n.Config["maxmemory-policy"]; policy != "" && policy != "noeviction" && limited(n.Config["maxmemory"]) {
			once(CodeEvicts, n, "maxmemory-policy", "%s deletes tasks and events when memory is full", policy)
		}
		if n.Config["appendonly"] != "yes" && strings.Trim(n.Config["save"], `"' `) == "" {
			once(CodeVolatile, n, "appendonly", "the cluster has queues, but tasks do not survive a restart of it")
		}
	}
	for _, n := range c.Redis.Nodes[min(1, len(c.Redis.Nodes)):] {
		for _, directive := range evenly {
			if first := c.Redis.Nodes[0]; n.Config[directive] != first.Config[directive] {
				once(CodeUneven, n, directive, "%s is %s here and %s on %s, but each may become master of the queues",
					directive, set(n.Config[directive]), set(first.Config[directive]), first.Name)
			}
		}
	}
	d.unconfirmed(c)
}

// unconfirmed warns of queues that wait for a replica of a master that goes on
// without one.
func (d *decoder) unconfirmed(c *Cluster) {
	for _, n := range c.Redis.Nodes {
		if value := n.Config["min-replicas-to-write"]; value != "" && value != "0" {
			return
		}
	}
	for _, q := range c.Operations.Queues {
		if q.Durable && len(c.Redis.Nodes) > 1 {
			d.report(CodeAlone, "queues."+q.Name+".durability", false,
				"cluster %s has no min-replicas-to-write, so that a master that was cut off goes on taking tasks", c.Name)
		}
	}
}

// directiveAt is where a directive of a node is declared, or would be.
func (d *decoder) directiveAt(path, node, directive string) string {
	if own := join(path+".nodes."+node+".config", directive); d.written(own) {
		return own
	}
	return join(path+".config", directive)
}

// limited tells whether a value of maxmemory is a limit.
func limited(maxmemory string) bool {
	n, ok := ParseSize(maxmemory)
	return ok && n > 0
}

func set(value string) string {
	if value == "" {
		return "not set"
	}
	return value
}
