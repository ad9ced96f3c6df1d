package alert_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"rsm/runtime/worker/alert"
)

var (
	cases = flag.Int("cases", 50, "how many random histories")
	seed  = flag.Uint64("seed", 0, "play the one history that failed")
)

// TestHistories plays random events, silences, changes of rules and time, by two
// dispatchers that race, and then lets everything come to its end. What must hold
// of every one:
//
//   - nobody hears of an alert that is pending, or of one that is silenced, but of
//     its end and of the end of the silence, or of one that a mute window or another
//     alert keeps quiet, but of its end;
//   - whoever heard that an alert fires hears exactly once that it has ended, and
//     nobody hears that who did not;
//   - the same is not told twice within the time of repeat;
//   - no two notifications have the same id;
//   - in the end nothing is stored.
func TestHistories(t *testing.T) {
	t.Parallel()
	first, last := uint64(1), uint64(*cases)
	if *seed != 0 {
		first, last = *seed, *seed
	}
	lost, told := 0, 0
	for s := first; s <= last; s++ {
		h := &history{world: newWorld(t), random: rand.New(rand.NewPCG(s, 0)), heard: map[string]map[string]bool{}, ids: map[string]bool{}, last: map[string]statement{}}
		h.play()
		lost, told = lost+h.lost, told+len(h.sent)
		if t.Failed() {
			t.Fatalf("replay it with -run TestHistories -seed %d", s)
		}
	}
	t.Logf("%d notifications, %d commits lost to another dispatcher", told, lost)
	if *seed == 0 && *cases >= 50 && (lost == 0 || told == 0) {
		t.Errorf("%d notifications, %d lost commits: the test tests nothing", told, lost)
	}
}

type history struct {
	*world
	random *rand.Rand
	log    []string
	judged int // of sent
	// heard is, by receiver, the fingerprints that it believes to fire, and whether it
	// wants to hear of their end.
	heard map[string]map[string]bool
	ids   map[string]bool
	last  map[string]statement // by receiver and group
}

var ruleTexts = []string{
	`rule cpu expr="cpu > 90" clear="cpu < 70" for=1m wait=30s interval=2m repeat=20m by=host,zone group_by=zone receivers=mail,chat escalate=10m:phone`,
	`rule cpu expr="cpu > 80" keep_for=1m wait=10s interval=1m repeat=30m by=host,zone group_by=zone receivers=mail`,
	`rule cpu expr="cpu > 90" by=host stale=15m receivers=mail,phone severity=critical escalate=5m:chief escalate=8m:chat`,
	`rule mem expr="mem > 90" wait=20s interval=3m repeat=10m inhibited_by=cpu:host receivers=chat`,
	`rule mem expr="mem > 90" resolved=no interval=1m receivers=chat,mail`,
	`rule mem expr="mem > 50" for=2m stale=5m mute="30m:20 * * * *" receivers=chat`,
}

func (h *history) play() {
	h.race = true
	for _, text := range []string{ruleTexts[0], ruleTexts[3]} {
		h.do(text)
	}
	for range 20 + h.random.IntN(100) {
		h.act()
	}
	// The end: no silences, and everything is well for long enough.
	for _, key := range h.keys("silence/") {
		h.do("unsilence " + strings.TrimPrefix(key, "silence/"))
	}
	for _, host := range []string{"a", "b", "c"} {
		for _, zone := range []string{"x", "y"} {
			h.do(fmt.Sprintf("event host=%s zone=%s cpu=1 mem=1", host, zone))
		}
	}
	h.at(3 * time.Hour)
	for receiver, firing := range h.heard {
		for fingerprint, wants := range firing {
			if !wants {
				continue
			}
			h.fail("%s never heard of the end of %s", receiver, fingerprint)
		}
	}
	if len(h.states) > 0 || len(h.wakes) > 0 {
		h.fail("left: %v, %v", h.states, h.wakes)
	}
}

// act does one thing of many.
func (h *history) act() {
	pick := func(of ...string) string { return of[h.random.IntN(len(of))] }
	switch n := h.random.IntN(100); {
	case n < 60:
		late := ""
		if h.random.IntN(8) == 0 {
			late = " late=" + pick("1s", "40s", "3m")
		}
		h.do(fmt.Sprintf("event host=%s zone=%s %s=%d%s", pick("a", "b", "c"), pick("x", "y"), pick("cpu", "cpu", "mem"), pick1(h.random, 10, 75, 85, 95, 99), late))
	case n < 85:
		h.at(time.Duration(1+h.random.IntN(240)) * time.Second)
	case n < 88:
		h.at(time.Duration(1+h.random.IntN(60)) * time.Minute)
	case n < 92:
		until := pick("", " until-resolved")
		h.do(fmt.Sprintf("silence s%d for=%s%s %s", h.count, pick("1m", "10m", "1h"), until, pick("host=a", "rule=cpu", "zone!=x host=~a|b", "severity=critical")))
	case n < 94:
		for _, key := range h.keys("silence/") {
			h.do("unsilence " + strings.TrimPrefix(key, "silence/"))
		}
	case n < 97:
		h.do(pick(ruleTexts...))
	default:
		h.do("remove " + pick("cpu", "mem"))
	}
}

func pick1(r *rand.Rand, of ...int) int { return of[r.IntN(len(of))] }

func (h *history) do(command string) {
	h.log = append(h.log, fmt.Sprintf("at %v %s", h.now.Sub(epoch), command))
	if strings.HasPrefix(command, "silence ") {
		if h.states["silence/"+strings.Fields(command)[1]] != "" {
			return
		}
	}
	h.command(split(command))
	h.judge()
}

// at lets time pass a second at a time, so that what is told is judged by the
// silences of that moment.
func (h *history) at(d time.Duration) {
	for end := h.now.Add(d); h.now.Before(end); {
		next := end
		for _, at := range h.wakes {
			if at.After(h.now) && at.Before(next) {
				next = at
			}
		}
		h.run(next)
		h.judge()
	}
}

// judge looks at what was sent since it did last.
func (h *history) judge() {
	silences := all[alert.Silence](h.world, "silence/")
	for ; h.judged < len(h.sent); h.judged++ {
		d := h.sent[h.judged]
		h.log = append(h.log, "  "+d.String())
		if h.ids[d.ID] {
			h.fail("%s came twice", d.ID)
		}
		h.ids[d.ID] = true
		h.repeated(d)
		if h.heard[d.Receiver] == nil {
			h.heard[d.Receiver] = map[string]bool{}
		}
		for _, item := range d.Alerts {
			h.item(d, item, silences)
		}
	}
}

func (h *history) item(d delivery, item alert.Item, silences []alert.Silence) {
	heard, wants := h.heard[d.Receiver], h.declared[item.Rule].Resolved
	if item.Status == alert.Resolved {
		if _, ok := heard[item.Fingerprint]; !ok {
			h.fail("%s hears of the end of %s, not of its beginning", d.Receiver, item.Summary)
		}
		delete(heard, item.Fingerprint)
		return
	}
	heard[item.Fingerprint] = wants
	stored := load[alert.Alert](h.world, "alert/"+item.Fingerprint)
	if stored == nil || stored.Status != alert.Firing {
		h.fail("%s is told to fire, and is %+v", item.Summary, stored)
	}
	if stored == nil {
		return
	}
	h.muted(d, item)
	if d.Reason == alert.Expiring {
		return
	}
	for _, s := range silences {
		if !d.at.Before(s.Starts) && d.at.Before(s.Ends) && matches(s, stored) {
			h.fail("%s is told while %s mutes it", item.Summary, s.ID)
		}
	}
}

// muted holds that nothing is told within a window of the rule, nor while another
// rule keeps it quiet.
func (h *history) muted(d delivery, item alert.Item) {
	rule := h.declared[item.Rule]
	if minute := d.at.Minute(); len(rule.Mute) > 0 && minute >= 20 && minute < 50 {
		h.fail("%s is told within a mute window", item.Summary)
	}
	for _, by := range rule.InhibitedBy {
		for _, a := range all[alert.Alert](h.world, "alert/") {
			if a.Rule == by.Rule && a.Status == alert.Firing && a.Labels["host"] == item.Labels["host"] {
				h.fail("%s is told while %s fires", item.Summary, a.Rule)
			}
		}
	}
}

// matches is what a silence means, written another way.
func matches(s alert.Silence, a *alert.Alert) bool {
	return !slices.ContainsFunc(s.Matchers, func(m alert.Matcher) bool {
		value := a.Label(m.Label)
		is := value == m.Value
		if strings.Contains(m.Op, "~") {
			is = slices.Contains(strings.Split(m.Value, "|"), value)
		}
		return is == strings.HasPrefix(m.Op, "!")
	})
}

// repeated holds that the same is not told before repeat is over, unless a silence
// or an escalation gives reason to.
func (h *history) repeated(d delivery) {
	about := fmt.Sprint(d.Receiver, d.Rule, d.Group)
	said := ""
	for _, item := range d.Alerts {
		said += fmt.Sprint(" ", item.Fingerprint, item.Status, item.Cause)
	}
	last := h.last[about]
	h.last[about] = statement{said, d.at}
	if said != last.said || d.Reason == alert.Unsilenced || d.Reason == alert.Expiring || d.Reason == alert.Escalated {
		return
	}
	if rule := h.declared[d.Rule]; d.Reason != alert.Repeat || d.at.Sub(last.at) < rule.Repeat {
		h.fail("%s is told the same after %v", d.Receiver, d.at.Sub(last.at))
	}
}

type statement struct {
	said string
	at   time.Time
}

func (h *history) fail(format string, args ...any) {
	h.t.Errorf("%s\n%s", fmt.Sprintf(format, args...), strings.Join(h.log, "\n"))
}
