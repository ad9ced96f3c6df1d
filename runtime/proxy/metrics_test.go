package proxy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"rsm/internal/redistest"
	"rsm/runtime/proxy/relay"
	"rsm/schema"
)

// metrics reads and parses /metrics.
func (w *watched) metrics() map[string]*dto.MetricFamily {
	w.t.Helper()
	_, body := w.get("/metrics", adminToken)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(body))
	if err != nil {
		w.t.Fatalf("%v in\n%s", err, body)
	}
	return families
}

// metric finds one by its labels, "name=value".
func metric(families map[string]*dto.MetricFamily, name string, labels ...string) *dto.Metric {
	for _, m := range families["rsm_proxy_"+name].GetMetric() {
		have := ""
		for _, l := range m.GetLabel() {
			have += l.GetName() + "=" + l.GetValue() + " "
		}
		found := true
		for _, l := range labels {
			found = found && strings.Contains(have, l+" ")
		}
		if found {
			return m
		}
	}
	return &dto.Metric{}
}

func TestMetricsCount(t *testing.T) {
	t.Parallel()
	w := watch(t, func(r *schema.ProxyRole) { r.Proxy.Listeners[0].Deny = []string{"flushall"} })
	before := w.metrics()
	p := dial(t, mainAddr(w.role))
	var sent, received int
	for range 40 {
		var batch []byte
		for range 25 {
			batch = append(batch, pipeline("get a", "get b", "set a "+secretValue, "incr a", "flushall")...)
		}
		sent += len(batch)
		p.send(batch)
		for range 25 * 5 {
			raw, err := p.reply()
			if err != nil {
				t.Fatal(err)
			}
			received += len(raw)
		}
	}
	after := w.metrics()
	count := func(families map[string]*dto.MetricFamily, command string) uint64 {
		return metric(families, "command_duration_seconds", "command="+command).GetHistogram().GetSampleCount()
	}
	for command, want := range map[string]uint64{"get": 2000, "set": 1000, "incr": 1000, "flushall": 0} {
		if got := count(after, command) - count(before, command); got != want {
			t.Errorf("%d answers to %s were counted, want %d", got, command, want)
		}
	}
	h := metric(after, "command_duration_seconds", "command=get").GetHistogram()
	if buckets := h.GetBucket(); len(buckets) < relay.Buckets-1 || buckets[len(buckets)-1].GetCumulativeCount() > h.GetSampleCount() || h.GetSampleSum() <= 0 {
		t.Errorf("histogram %v", h)
	}
	counter := func(name string, labels ...string) float64 {
		return metric(after, name, labels...).GetCounter().GetValue() - metric(before, name, labels...).GetCounter().GetValue()
	}
	for name, want := range map[string]float64{
		"command_errors_total command=incr": 1000, "command_errors_total command=get": 0, "denied_total": 1000,
		"received_bytes_total listener=main": float64(sent), "sent_bytes_total listener=main": float64(received),
		"clients_accepted_total listener=main": 1,
	} {
		if got := counter(fields(name)[0], fields(name)[1:]...); got != want {
			t.Errorf("%s grew by %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]float64{
		"ready": 1, "hold": 0, "clients listener=main": 1, "master server=" + w.server.Addr(): 1, "info version=v1.2.3": 1,
		"sentinel_reachable sentinel=" + w.sentinel.Addr(): 1, "backends server=" + w.server.Addr() + " state=pinned": 0,
	} {
		if m := metric(after, fields(name)[0], fields(name)[1:]...); m.Gauge == nil || m.GetGauge().GetValue() != want {
			t.Errorf("%s is %v, want %v", name, m, want)
		}
	}
	if after["process_open_fds"] == nil || after["go_goroutines"] == nil {
		t.Error("the figures of the process are missing")
	}
}

// The counters survive the command table's being read again.
func TestCountersSurviveARestart(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	for range 100 {
		_, _ = redistest.Do(mainAddr(w.role), "SET", "a", "1")
	}
	before := w.commands()["set"].Count
	id := w.status().Master.RunID
	w.server.Restart()
	redistest.Wait(t, patience, func() error {
		if now := w.status().Master.RunID; now == id || now == "" {
			return fmt.Errorf("the server is still %q", now)
		}
		_, err := redistest.Do(mainAddr(w.role), "SET", "a", "1")
		return err
	})
	if after := w.commands()["set"].Count; before < 100 || after <= before || after > before+50 {
		t.Errorf("SET was counted %d times, then %d", before, after)
	}
}

// busy keeps a server busy for some milliseconds.
const busy = "local n = 0; for i = 1, 2000000 do n = n + i end; return n"

func TestSlowLog(t *testing.T) {
	t.Parallel()
	w := watch(t, func(r *schema.ProxyRole) { r.Proxy.SlowLog = 5 * time.Millisecond })
	p := dial(t, mainAddr(w.role))
	p.want("+OK\r\n", "CLIENT", "SETNAME", "worker")
	long := strings.Repeat("k", 500)
	p.ask("EVAL", busy, "1", long, secretValue)
	p.ask("BLPOP", "nolist", "0.05") // is meant to wait
	var log struct {
		Threshold float64      `json:"threshold_seconds"`
		Requests  []relay.Slow `json:"requests"`
	}
	w.read("/slowlog", &log)
	if log.Threshold != 0.005 {
		t.Errorf("threshold %v", log.Threshold)
	}
	var found bool
	for _, s := range log.Requests {
		switch s.Command {
		case "eval":
			found = true
			if s.Seconds < 0.005 || s.Seconds > 20 || s.Name != "worker" || s.Client == "" || s.Args != 5 || s.Requests != 1 || string(s.Server) != w.server.Addr() ||
				s.Key != long[:128]+"… (500 bytes)" || time.Since(s.Time) > time.Minute || s.Listener != "main" {
				t.Errorf("%+v", s)
			}
		case "blpop":
			t.Errorf("a command that waits is in the slow log: %+v", s)
		}
	}
	if !found {
		t.Errorf("EVAL is not in the slow log: %+v", log)
	}
}

func TestHotKeys(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	p := dial(t, mainAddr(w.role))
	p.want("+OK\r\n", "SELECT", "3")
	p.want("+OK\r\n", "SET", "hot", secretValue)
	const rounds, each = 200, 100
	dice := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		var batch []byte
		for i := range each {
			key := "hot"
			if i%10 >= 3 {
				key = fmt.Sprintf("cold:%d", dice.IntN(1e6))
			}
			batch = append(batch, command("GET", key)...)
		}
		p.send(batch)
		for range each {
			if _, err := p.reply(); err != nil {
				t.Fatal(err)
			}
		}
	}
	var hot struct {
		Requests uint64         `json:"requests"`
		Keys     []relay.HotKey `json:"keys"`
	}
	w.read("/hotkeys?limit=5", &hot)
	const want = rounds * each * 3 / 10
	if len(hot.Keys) != 5 || hot.Keys[0].Key != "hot" || hot.Keys[0].DB != 3 || hot.Keys[0].Command != "get" {
		t.Fatalf("%+v", hot)
	}
	if got := float64(hot.Keys[0].Requests); math.Abs(got-want) > want/2 || math.Abs(hot.Keys[0].Share-0.3) > 0.15 {
		t.Errorf("the hot key is estimated to have %v requests, share %v; it had %d", got, hot.Keys[0].Share, want)
	}
}

func TestBigReplies(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	p := dial(t, mainAddr(w.role))
	big := strings.Repeat(secretValue, 8000)
	p.want("+OK\r\n", "SET", "bi\x00g", big)
	for range 3 {
		p.want(bulk(big), "GET", "bi\x00g")
	}
	var list struct {
		Replies []relay.BigReply `json:"replies"`
	}
	w.read("/bigreplies", &list)
	if len(list.Replies) != 1 {
		t.Fatalf("%+v", list)
	}
	if r := list.Replies[0]; r.Command != "get" || r.Key != `"bi\x00g"` || r.Bytes != len(bulk(big)) || r.Seen != 3 || string(r.Server) != w.server.Addr() {
		t.Errorf("%+v", r)
	}
}

func TestClientTable(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	w.server.Do("ACL", "SETUSER", "bob", "on", ">"+secretValue, "~*", "&*", "+@all")
	loud, heavy, quiet := dial(t, mainAddr(w.role)), dial(t, mainAddr(w.role)), dial(t, mainAddr(w.role))
	quiet.want("+OK\r\n", "CLIENT", "SETNAME", "quiet")
	quiet.want("+OK\r\n", "AUTH", "bob", secretValue)
	heavy.want("+OK\r\n", "CLIENT", "SETNAME", "heavy")
	loud.want("+OK\r\n", "CLIENT", "SETNAME", "loud")
	for range 50 {
		loud.want("$-1\r\n", "GET", "a")
	}
	heavy.want("+OK\r\n", "SELECT", "2")
	heavy.want("+OK\r\n", "SET", "b", strings.Repeat("x", 30_000))
	for sort, want := range map[string]string{"": "loud", "?sort=requests&limit=2": "loud", "?sort=bytes&limit=1": "heavy", "?sort=idle&limit=1": "quiet"} {
		var list struct {
			Clients []relay.ClientReport `json:"clients"`
		}
		w.read("/clients"+sort, &list)
		if len(list.Clients) == 0 || list.Clients[0].Name != want {
			t.Errorf("/clients%s: %+v; want %s first", sort, list.Clients, want)
			continue
		}
		switch c := list.Clients[0]; want {
		case "loud":
			if c.Requests != 50 || c.User != "default" || c.Command != "get" || c.State != "idle" || c.Sent < 50*5 || c.Addr != loud.conn.LocalAddr().String() {
				t.Errorf("%+v", c)
			}
		case "heavy":
			if c.DB != 2 || c.Received < 30_000 || c.Command != "set" || c.Listener != "main" || string(c.Server) != w.server.Addr() {
				t.Errorf("%+v", c)
			}
		case "quiet":
			if c.User != "bob" || c.Idle <= 0 || c.Age < c.Idle {
				t.Errorf("%+v", c)
			}
		}
	}
	for _, bad := range []string{"?sort=beauty", "?limit=0", "?limit=x"} {
		if status, _ := w.get("/clients"+bad, adminToken); status != http.StatusBadRequest {
			t.Errorf("/clients%s: %d", bad, status)
		}
	}
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	w := watch(t, nil)
	request, err := http.NewRequest(http.MethodGet, "http://"+string(w.role.Proxy.Admin)+"/accesslog?seconds=3&all=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := http.DefaultClient.Do(request) // returns when the stream has begun
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	p := dial(t, mainAddr(w.role))
	p.want("+OK\r\n", "CLIENT", "SETNAME", "alice")
	const n = 300
	var batch []byte
	for i := range n {
		batch = append(batch, command("SET", fmt.Sprint("key:", i), secretValue)...)
	}
	p.send(batch)
	for range n {
		if _, err := p.reply(); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewScanner(response.Body)
	for i := 0; lines.Scan(); {
		var a relay.Access
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatalf("%v in %s", err, lines.Bytes())
		}
		switch {
		case a.Command == "set":
			want := fmt.Sprint("key:", i)
			if a.Key != want || a.Name != "alice" || a.Args != 3 || a.Request != len(command("SET", want, secretValue)) || a.Reply != len("+OK\r\n") ||
				a.Client != p.conn.LocalAddr().String() || a.Seconds < 0 || string(a.Server) != w.server.Addr() || a.User != "default" || a.Listener != "main" {
				t.Fatalf("%+v", a)
			}
			i++
		case a.Command == "" && (i != n || !strings.Contains(lines.Text(), `"dropped":0`)):
			t.Fatalf("after %d lines: %s", i, lines.Text())
		case strings.Contains(lines.Text(), secretValue):
			t.Fatalf("a value: %s", lines.Text())
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.get("/accesslog?seconds=601", adminToken); status != http.StatusBadRequest {
		t.Errorf("too many seconds: %d", status)
	}
}

// Nothing that the admin listener tells has a secret or a value in it.
func TestAdminTellsNoSecrets(t *testing.T) {
	t.Parallel()
	w := watch(t, func(r *schema.ProxyRole) { r.Proxy.SlowLog = time.Millisecond })
	w.server.Do("ACL", "SETUSER", "bob", "on", ">"+secretValue, "~*", "&*", "+@all")
	logs := make(chan string, 1)
	go func() {
		_, body, err := get(w.role.Proxy.Admin, "/accesslog?seconds=2&all=true", adminToken)
		logs <- fmt.Sprint(body, err)
	}()
	p := dial(t, mainAddr(w.role))
	p.want("+OK\r\n", "AUTH", "bob", secretValue)
	p.ask("HELLO", "3", "AUTH", "bob", secretValue)
	p.ask("CONFIG", "SET", "masterauth", secretValue)
	p.ask("ACL", "SETUSER", "eve", ">"+secretValue)
	p.ask("NOSUCHCOMMAND", secretValue)
	p.ask(secretValue, "as a command")
	for range 300 {
		p.ask("SET", "k", secretValue)
		p.ask("GET", "k")
		p.ask("HSET", "h", secretValue, secretValue) // whenever the log begins and ends
	}
	p.ask("EVAL", busy, "0", secretValue)
	p.ask("PUBLISH", "c", secretValue)
	p.ask("AUTH", "bob", "not"+secretValue)
	all := ""
	for _, path := range append(guarded[:6:6], "/readyz", "/healthz") {
		_, body := w.get(path, adminToken)
		all += body
	}
	all += <-logs
	for _, secret := range []string{secretValue, adminToken, strings.ToLower(secretValue)} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%s is told: %s", secret, all[max(0, i-200):i+50])
		}
	}
	if !strings.Contains(all, `"command":"hset"`) || !strings.Contains(all, `"command": "eval"`) {
		t.Error("too little is told for this test to mean anything")
	}
}
