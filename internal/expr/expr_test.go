package expr_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"rsm/internal/expr"
)

const sample = `{"type":"monitoring","host":"web1","cpu_usage":91.5,"ok":true,"none":null,"n":"12","disk usage":7,
	"mem":{"used":96,"total":100,"free":4},"disks":[{"path":"/","usage":95},{"path":"/var","usage":20}],"event":{"x":1},
	"load":[1,2,3],"big":[0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30]}`

func fields(t testing.TB) map[string]any {
	t.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(sample), &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestEval(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]any{
		`cpu_usage > 90`:                                true,
		`cpu_usage > 90.0 && host == "web1"`:            true,
		`90 < cpu_usage`:                                true,
		`mem.used / mem.total * 100 > 95`:               true,
		`100 * mem.used / mem.total`:                    96.0,
		`1 + 2 * mem.free - 1`:                          8.0,
		`1.5 + 2 * mem.free`:                            9.5,
		`-(mem.free + 1)`:                               -5.0,
		`load.exists_one(l, l + 1 == 3)`:                true,
		`100 - cpu_usage`:                               8.5,
		`size(disks) * 2`:                               int64(4),
		`disks.exists(d, d.usage > 90)`:                 true,
		`disks.filter(d, d.usage + 1 > 90).size() == 1`: true,
		`disks.map(d, d.path)[0]`:                       "/",
		`disks[0].usage`:                                95.0,
		`type == "monitoring"`:                          true,
		`type(cpu_usage) == double`:                     true,
		`type(host) == string && host.startsWith("w")`:  true,
		`host.matches("^web[0-9]$")`:                    true,
		`host in ["web1", "web2"]`:                      true,
		`event["disk usage"]`:                           7.0,
		`event.host`:                                    "web1",
		`has(event.swap)`:                               false,
		`has(mem.free)`:                                 true,
		`event.?swap.orValue(0) == 0`:                   true,
		`nothing > 1 || ok`:                             true,
		`nothing > 1 && !ok`:                            false,
		`none == null`:                                  true,
		`none`:                                          nil,
		`int(n) + 1`:                                    int64(13),
		`math.greatest(cpu_usage, 3)`:                   91.5,
		`host.upperAscii()`:                             "WEB1",
		`"x" == 'x' ? 1 : 2`:                            int64(1),
	} {
		p, err := expr.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := p.Eval(fields(t)); err != nil || got != want {
			t.Errorf("%s is %v (%T), %v; want %v", text, got, got, err, want)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`swap > 1`, `mem.swap > 1`, `swap.used > 1`, `event.swap == 1`, `disks[7].usage > 1`, `disks.all(d, d.inodes > 1)`, `event["x"]`, `swap + 1 > 2`} {
		p, err := expr.Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := p.Eval(fields(t)); !errors.Is(err, expr.ErrMissing) {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	p, err := expr.Compile(`host > 90`)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Eval(fields(t)); err == nil || errors.Is(err, expr.ErrMissing) {
		t.Errorf("a word that is compared with a number is %v, %v", got, err)
	}
}

// TestRefused: each error says where.
func TestRefused(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                "1:1: the expression is empty",
		"  \n":                            "1:1: the expression is empty",
		`cpu_usage >`:                     "1:12: ",
		`cpu > 1 &`:                       "1:9: ",
		"cpu > 1 &&\n  frobnicate(cpu)":   "2:13: undeclared reference to 'frobnicate'",
		`"a" > 1`:                         "1:5: found no matching overload",
		`cpu == "a`:                       "1:8: ",
		strings.Repeat("a+", 6000) + "a":  "1:1: expression code point size exceeds limit",
		strings.Repeat("(", 500) + "a":    ": ",
		`a.b.c(`:                          "1:7: ",
		"host.matches(\"(\")":             "1:",
		`[1, 2].exists(1, true)`:          "1:",
		`google.protobuf.Timestamp{a: 1}`: "1:28: undefined field",
		string([]byte{'a', 0xff, ' ', 0}): "1:",
	} {
		_, err := expr.Compile(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.40q: %v, want %s", text, err, want)
		}
	}
	for _, text := range []string{`1`, `"true"`, `cpu + 1 > 2 ? "a" : "b"`, `[true]`} {
		if _, err := expr.Condition(text); err == nil {
			t.Errorf("%s is a condition", text)
		}
	}
}

func TestHolds(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{`ok`: "true", `cpu_usage < 3`: "false", `cpu_usage`: "error", `swap`: "error"} {
		p, err := expr.Condition(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := p.Holds(fields(t))
		if text := map[bool]string{true: "true", false: "false"}[got]; err == nil && text != want || (err != nil) != (want == "error") {
			t.Errorf("%s: %v, %v", p, got, err)
		}
	}
}

// TestRunaway: loops in loops end with an error, quickly.
func TestRunaway(t *testing.T) {
	t.Parallel()
	p, err := expr.Condition(`big.all(a, big.all(b, big.all(c, big.all(d, big.all(e, a + b + c + d + e < 1000)))))`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Holds(fields(t)); err == nil || !strings.Contains(err.Error(), "cost limit") {
		t.Errorf("31^5 rounds: %v", err)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`type == "a" && disks.exists(d, d.usage > limit) && event.x == 1 && int(n) > 0 && x < 3`: "type disks limit x n",
		`mem.used / mem.total * 100 > 95 && has(event.swap) && has(mem.free)`:                    "mem.used mem.total mem",
		`disks.exists(d, d.usage > 1) && d > 1`:                                                  "disks d",
		`event["disk usage"] > 1 && {"a": b}[c] == [e]`:                                          "b c e",
		`math.greatest(a.b.c, 3) > 1`:                                                            "a.b.c",
	} {
		p, err := expr.Compile(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(p.Fields(), " "); got != want {
			t.Errorf("fields of %s are %s, want %s", text, got, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(`cpu_usage > 90 && disks.exists(d, d.usage + 1 > 2)`)
	f.Add(`event.?x.orValue(1) + 3 * mem.used`)
	sample := fields(f)
	f.Fuzz(func(t *testing.T, text string) {
		if p, err := expr.Compile(text); err == nil {
			_, _ = p.Eval(sample)
		}
	})
}

func BenchmarkHolds(b *testing.B) {
	for name, text := range map[string]string{
		"simple": `cpu_usage > 90 && mem.used / mem.total * 100 > 95`,
		"loop":   `disks.exists(d, d.usage > 90)`,
	} {
		b.Run(name, func(b *testing.B) {
			p, err := expr.Condition(text)
			if err != nil {
				b.Fatal(err)
			}
			event := fields(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Holds(event); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
