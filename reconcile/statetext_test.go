package reconcile

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"rsm/schema"
)

// The state of a golden file, a line for each server:
//
//	r1 master keys=10 offset=1000 replid=A maxmemory=100mb
//	r2 replica of=r1 link=up
//	r3 down data=yes
//	s1 monitors=r1 epoch=1 knows=r2,r3 peers=s2,s3 flags=master
//	s2 bare
//	s4 down remembers=r1 epoch=1
//	s3 unknown why="no answer in 3s"
//	record master=r1 epoch=1
//	p1 up
//	p2 up maxclients=5 refused="no such file"
//	surplus r4 redis 127.0.0.1:7004
//
// What is left out is as on a healthy cluster: replicas follow the first master
// of the text, every data set is history A with 10 keys at offset 1000, settings
// and directives are those of the spec, and a Sentinel knows all that it can find.
// A server without a line does not run and has no data. A redis-server's word that
// is no field of the state is a directive.

// words are the arguments of one line: key=value, or a bare flag.
type words map[string]string

func (w words) has(key string) bool { _, ok := w[key]; return ok }

// text takes the value of a key out of the words.
func (w words) text(key, otherwise string) string {
	if value, ok := w[key]; ok {
		delete(w, key)
		return value
	}
	return otherwise
}

func (w words) number(key string, otherwise int64) int64 {
	n, err := strconv.ParseInt(w.text(key, strconv.FormatInt(otherwise, 10)), 10, 64)
	if err != nil {
		panic(fmt.Sprintf("%s is no number: %v", key, err))
	}
	return n
}

func (w words) duration(key string, otherwise time.Duration) time.Duration {
	d, err := time.ParseDuration(w.text(key, otherwise.String()))
	if err != nil {
		panic(fmt.Sprintf("%s is no duration: %v", key, err))
	}
	return d
}

func (w words) flag(key string) bool {
	_, ok := w[key]
	delete(w, key)
	return ok
}

// stateText is a state text while it is read.
type stateText struct {
	c      *schema.Cluster
	s      *State
	leader string // the first master of the text
	knows  map[string]words
}

func parseState(c *schema.Cluster, text string) (s *State, err error) {
	defer func() {
		if wrong := recover(); wrong != nil {
			err = fmt.Errorf("parse state: %v", wrong)
		}
	}()
	p := &stateText{c: c, s: absent(c), knows: map[string]words{}}
	for line := range strings.Lines(text) {
		fields := split(strings.TrimSpace(line))
		if len(fields) > 1 && fields[1] == "master" && p.leader == "" {
			p.leader = fields[0]
		}
	}
	for line := range strings.Lines(text) {
		if fields := split(strings.TrimSpace(line)); len(fields) > 0 {
			p.line(fields[0], fields[1:])
		}
	}
	p.attach()
	p.discover()
	return p.s, nil
}

// split cuts a line at spaces outside of double quotes, and drops comments.
func split(line string) []string {
	line, _, _ = strings.Cut(line, "#")
	quoted := false
	fields := strings.FieldsFunc(line, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	for i := range fields {
		fields[i] = strings.ReplaceAll(fields[i], `"`, "")
	}
	return fields
}

func (p *stateText) line(name string, fields []string) {
	w := words{}
	for _, field := range fields {
		key, value, _ := strings.Cut(field, "=")
		w[key] = value
	}
	switch {
	case name == "record":
		p.s.Record = p.record(w)
		p.s.Record.Managed = managedDirectives(p.c, p.s)
	case name == "surplus":
		p.s.Surplus = append(p.s.Surplus, SurplusRole{Name: fields[0], Kind: Kind(fields[1]), Addr: schema.Addr(fields[2]), Running: true})
		return
	case p.s.Redis[name] != nil:
		p.redis(p.s.Redis[name], w)
		return
	case p.s.Sentinels[name] != nil:
		p.sentinel(p.s.Sentinels[name], w)
	case p.s.Roles[name] != nil:
		p.role(p.s.Roles[name], w)
	case name == "published":
		p.published(w)
	default:
		panic(name + " is not in the spec")
	}
	if len(w) > 0 {
		panic(fmt.Sprintf("%s: unknown words %v", name, w))
	}
}

// addr is the address of a role's name; other text is an address itself.
func (p *stateText) addr(name string) schema.Addr {
	if r := p.s.Redis[name]; r != nil {
		return r.Addr
	}
	if r := p.s.Sentinels[name]; r != nil {
		return r.Addr
	}
	return schema.Addr(name)
}

func (p *stateText) addrs(list string) []schema.Addr {
	var addrs []schema.Addr
	for name := range strings.SplitSeq(list, ",") {
		if name != "" {
			addrs = append(addrs, p.addr(name))
		}
	}
	return addrs
}

func (p *stateText) record(w words) *Registration {
	r := &Registration{Cluster: p.c.Name, Master: p.addr(w.text("master", p.leader)), Epoch: uint64(w.number("epoch", 0))}
	for _, n := range p.c.Redis.Nodes {
		if n.Addr != r.Master {
			r.Replicas = append(r.Replicas, n.Addr)
		}
	}
	for _, n := range p.c.Sentinel.Nodes {
		r.Sentinels = append(r.Sentinels, n.Addr)
	}
	return r
}

func process(p *Process, w words) {
	p.Local = !w.flag("remote")
	p.Foreign = w.text("foreign", "")
	p.Binary, p.BinaryErr = w.text("binary", "7.0.15"), w.text("nobinary", "")
	p.Data = Presence(w.text("data", string(p.Data)))
}

func (p *stateText) redis(r *RedisState, w words) {
	node, _ := p.c.Redis.Node(r.Name)
	if w.has("master") || w.has("replica") || w.has("unknown") {
		r.Process.Data = Yes
	}
	process(&r.Process, w)
	for key := range w {
		if directive, bad := strings.CutPrefix(key, "bad."); bad {
			r.BadConfig = map[string]string{directive: w.text(key, "")}
		}
	}
	switch {
	case w.flag("down"):
	case w.flag("unknown"):
		r.Reach, r.Why = Unknown, w.text("why", "no answer in 3s")
	default:
		p.redisUp(r, w)
		r.Config = ManagedConfig(node)
		for key, value := range w { // the rest are directives
			r.Config[key] = value
		}
		r.Priority = number(r.Config["replica-priority"], 100)
		r.ReadOnly, r.Announced = r.Config["replica-read-only"] == "yes", r.Config["replica-announced"] == "yes"
	}
}

func (p *stateText) redisUp(r *RedisState, w words) {
	r.Reach, r.Process.Running, r.RunID = Up, r.Process.Local, w.text("runid", "run-"+r.Name)
	r.Version, r.Uptime = w.text("version", "7.0.15"), w.duration("uptime", time.Hour)
	r.Keys, r.Offset = w.number("keys", 10), w.number("offset", 1000)
	r.ReplID, r.ReplID2, r.SecondOffset = w.text("replid", "A"), w.text("replid2", ""), w.number("second", -1)
	r.Loading, r.Copied, r.Clients = w.flag("loading"), w.flag("copied"), int(w.number("clients", 0))
	r.FailoverState = w.text("failover", "")
	if w.flag("master") {
		r.Role = Master
		return
	}
	if !w.flag("replica") {
		panic(r.Name + " is no master, replica, down or unknown")
	}
	r.Role, r.Master = Replica, p.addr(w.text("of", p.leader))
	link := w.text("link", "up")
	r.LinkUp, r.Syncing, r.LinkDown = link == "up", link == "syncing", w.duration("linkdown", 0)
}

// attach lists each replica at the server that it follows.
func (p *stateText) attach() {
	for _, name := range names(p.s.Redis) {
		r := p.s.Redis[name]
		if master := p.s.At(r.Master); r.Reach == Up && r.LinkUp && master != nil {
			master.Replicas = append(master.Replicas, r.Addr)
		}
	}
}
