package schema

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// The defaults of queues that operations.cue names in its comments.
const (
	// DefaultQueue is there without being declared.
	DefaultQueue = "default"

	defaultLease         = "10s"
	defaultTaskTimeout   = "30m"
	defaultAttempts      = 10
	defaultCrashes       = 3
	defaultBackoff       = "1s"
	defaultBackoffMax    = "10m"
	defaultRetention     = "1h"
	defaultDeadRetention = "168h"
	defaultReassign      = "1m"
	week                 = 7 * day
	// handled begins the types of the tasks that are for handlers.
	handled = "handle/"
)

// operations fills in queues, handlers and rules, each in its cluster.
func (d *decoder) operations(root map[string]any) {
	each(root, "queues", d.queue)
	d.defaultQueue(root)
	d.workerQueues()
	each(root, "handlers", d.handler)
	each(root, "rules", d.rule)
	for _, c := range d.spec.Clusters {
		slices.SortFunc(c.Operations.Queues, func(a, b Queue) int { return cmp.Compare(a.Name, b.Name) })
	}
	d.checkReports()
	d.checkInhibitions()
	for _, c := range d.spec.Clusters {
		d.idle(c)
		d.substrate(c)
	}
}

func (d *decoder) queue(path, name string, fields map[string]any) {
	q := d.newQueue(path, name, fields)
	each(fields, "tasks", func(at, task string, fields map[string]any) {
		q.Tasks = append(q.Tasks, d.task(path+"."+at, task, fields))
	})
	each(fields, "cron", func(at, task string, fields map[string]any) {
		q.Cron = append(q.Cron, d.cronTask(path+"."+at, task, fields))
	})
	if c := d.serves(path, fields); c != nil {
		q.Cluster = c.Name
		if q.Durable && len(c.Redis.Nodes) == 1 {
			d.report(CodeOperations, path+".durability", false, "cluster %s has no replica", c.Name)
		}
		c.Operations.Queues = append(c.Operations.Queues, q)
	}
}

// newQueue reads what is the queue's own; fields may be nil.
func (d *decoder) newQueue(path, name string, fields map[string]any) Queue {
	q := Queue{
		Name:          name,
		Lease:         d.span(path, fields, "lease", defaultLease, time.Second, day),
		Timeout:       d.span(path, fields, "timeout", defaultTaskTimeout, 0, week),
		Attempts:      or(fields, "attempts", defaultAttempts),
		Crashes:       or(fields, "crashes", defaultCrashes),
		Backoff:       d.span(path, fields, "backoff", defaultBackoff, time.Millisecond, day),
		BackoffMax:    d.span(path, fields, "backoffMax", defaultBackoffMax, time.Millisecond, day),
		Rate:          get[int](fields, "rate"),
		Concurrency:   get[int](fields, "concurrency"),
		Durable:       get[string](fields, "durability") == "replica",
		Retention:     d.span(path, fields, "retention", defaultRetention, 0, year),
		DeadRetention: d.span(path, fields, "deadRetention", defaultDeadRetention, time.Second, year),
		Reassign:      d.span(path, fields, "reassign", defaultReassign, 0, day),
		Max:           int64(get[int](fields, "max")),
	}
	if q.Durable {
		q.DurableTimeout = d.span(path, fields, "durabilityTimeout", defaultDurableTimeout, time.Millisecond, day)
	} else if fields["durabilityTimeout"] != nil {
		d.report(CodeOperations, path+".durabilityTimeout", true, `it needs durability: "replica"`)
	}
	switch {
	case q.Backoff <= q.BackoffMax || d.failed(path+".backoff"):
	case fields["backoffMax"] == nil:
		q.BackoffMax = q.Backoff
	default:
		d.report(CodeOperations, path+".backoffMax", false, "it is shorter than backoff, %s", q.Backoff)
	}
	return q
}

func (d *decoder) task(path, name string, fields map[string]any) TaskType {
	if strings.HasPrefix(name, handled) {
		d.report(CodeOperations, path, true, "types that begin with %s belong to handlers", handled)
	}
	t := TaskType{Name: name, Command: d.command(path, fields)}
	if fields["timeout"] != nil {
		t.Timeout = d.span(path, fields, "timeout", "", time.Millisecond, week)
	}
	return t
}

// command reads the fields of a command.
func (d *decoder) command(path string, fields map[string]any) Exec {
	e := Exec{
		Argv: textList(fields, "command"), Dir: d.file(path, fields, "dir"),
		Env: textMap(fields, "env"), Secrets: d.secretMap(path+".secrets", get[map[string]any](fields, "secrets")),
	}
	d.checkCommand(path, e, fields)
	return e
}

// secretMap reads a map of secrets, nil when it is empty.
func (d *decoder) secretMap(path string, fields map[string]any) map[string]Secret {
	var found map[string]Secret
	for _, name := range keys(fields) {
		if s := d.secret(join(path, name), fields, name); s != nil {
			if found == nil {
				found = map[string]Secret{}
			}
			found[name] = *s
		}
	}
	return found
}

func (d *decoder) cronTask(path, name string, fields map[string]any) CronTask {
	t := CronTask{Name: name, Type: get[string](fields, "type"), Payload: get[json.RawMessage](fields, "payload")}
	t.Cron, t.Zone = d.schedule(path, fields)
	if strings.HasPrefix(t.Type, handled) {
		d.report(CodeOperations, path+".type", false, "types that begin with %s belong to handlers", handled)
	}
	return t
}

// schedule reads the fields cron and zone.
func (d *decoder) schedule(path string, fields map[string]any) (text, zone string) {
	text, zone = strings.Join(strings.Fields(get[string](fields, "cron")), " "), or(fields, "zone", defaultZone)
	d.checkCron(path+".cron", text)
	d.checkZone(path+".zone", zone)
	return text, zone
}

// defaultQueue declares the queue that needs no declaration in the cluster of who
// uses it.
func (d *decoder) defaultQueue(root map[string]any) {
	if d.written(join("queues", DefaultQueue)) || get[map[string]any](root, "queues")[DefaultQueue] != nil {
		return
	}
	var users []*Cluster
	for _, c := range d.spec.Clusters {
		if slices.ContainsFunc(c.Workers, func(w Worker) bool { return slices.Contains(w.Queues, DefaultQueue) }) {
			users = append(users, c)
		}
	}
	handlers := false
	each(root, "handlers", func(_, _ string, fields map[string]any) {
		handlers = handlers || or(fields, "queue", DefaultQueue) == DefaultQueue
	})
	switch {
	case len(users) == 1:
	case len(users) > 1:
		d.report(CodeWhichCluster, "workers", true, "queue %s is used in clusters %s and %s, and can be in one", DefaultQueue, users[0].Name, users[1].Name).Hint =
			"declare a queue for each cluster under queues"
		return
	case !handlers || len(d.spec.Clusters) == 0:
		return
	case len(d.spec.Clusters) == 1:
		users = d.spec.Clusters
	default:
		d.report(CodeWhichCluster, "handlers", true, "queue %s is used, but the spec has %d clusters", DefaultQueue, len(d.spec.Clusters)).Hint =
			"declare it: queues: " + DefaultQueue + `: cluster: "..."`
		return
	}
	q := d.newQueue(join("queues", DefaultQueue), DefaultQueue, nil)
	q.Cluster = users[0].Name
	users[0].Operations.Queues = append(users[0].Operations.Queues, q)
}

// workerQueues checks the queues that workers name.
func (d *decoder) workerQueues() {
	for _, c := range d.spec.Clusters {
		for _, w := range c.Workers {
			for i, name := range w.Queues {
				at := element(join("workers", w.Name)+".queues", i)
				q := d.queueNamed(at, name)
				switch {
				case slices.Index(w.Queues, name) < i:
					d.report(CodeOperations, at, false, "%s is named twice", name)
				case q != nil && q.Cluster != c.Name:
					d.report(CodeOperations, at, false, "queue %s is in cluster %s, the worker in %s", name, q.Cluster, c.Name)
				}
			}
		}
	}
}

// queueNamed finds a queue, nil when there is none; that is reported.
func (d *decoder) queueNamed(path, name string) *Queue {
	var names []string
	for _, c := range d.spec.Clusters {
		for i, q := range c.Operations.Queues {
			if q.Name == name {
				return &c.Operations.Queues[i]
			}
			names = append(names, q.Name)
		}
	}
	// One that is declared wrongly is reported there, and so is the default one when
	// its cluster cannot be told.
	if name != DefaultQueue && !d.written(join("queues", name)) {
		d.nothing(CodeQueue, path, "queue", name, names)
	}
	return nil
}

// nothing reports a name that leads nowhere.
func (d *decoder) nothing(code Code, path, kind, name string, names []string) {
	p := d.report(code, path, false, "there is no %s %s", kind, name)
	if guess := nearest(name, names); guess != "" {
		p.Hint = "did you mean " + guess + "?"
	} else {
		p.Hint = "declare it under " + kind + "s"
	}
}

// written tells whether a field is in the spec, right or wrong.
func (d *decoder) written(path string) bool {
	if _, there := d.index.labels[path]; there {
		return true
	}
	_, made := d.index.computed[path]
	return made
}

// failed tells whether a problem with a field was reported.
func (d *decoder) failed(path string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return p.Path == path })
}
