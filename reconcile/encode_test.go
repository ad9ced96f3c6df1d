package reconcile

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"rsm/schema"
)

// TestEveryActionHasAName reads the sources for types with the method that seals
// the set of actions: one that is missing in kinds could be planned, but not saved.
func TestEveryActionHasAName(t *testing.T) {
	t.Parallel()
	named := map[string]bool{}
	for _, zero := range kinds {
		named[reflect.TypeOf(zero).Name()] = true
	}
	found := sealed(t)
	for _, name := range found {
		if !named[name] {
			t.Errorf("action %s is not in kinds", name)
		}
	}
	if len(found) != len(kinds) || len(named) != len(kinds) {
		t.Errorf("%d actions, %d kinds, %d types", len(found), len(kinds), len(named))
	}
}

// sealed lists the receivers of all methods apply(*State).
func sealed(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "apply" {
				continue
			}
			if receiver, ok := f.Recv.List[0].Type.(*ast.Ident); ok {
				list = append(list, receiver.Name)
			}
		}
	}
	return list
}

// TestStepRoundTrip fills every field of every action: what is not encoded is
// missing after decoding.
func TestStepRoundTrip(t *testing.T) {
	t.Parallel()
	for name, zero := range kinds {
		value := reflect.New(reflect.TypeOf(zero)).Elem()
		fill(t, value)
		step := Step{
			Phase: PhaseConfig, Action: value.Interface().(Action), Master: "127.0.0.1:7001", Epoch: 3,
			Causes: []Drift{{"r1", "config.save", "", "3600 1", Differs}},
		}
		data, err := json.Marshal(step)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var back Step
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(step, back) {
			t.Errorf("%s: got\n%+v\nwant\n%+v", name, back, step)
		}
		var raw struct {
			Type, Subject, Text, Impact string
			Commands                    []string
		}
		if err := json.Unmarshal(data, &raw); err != nil {
			t.Fatal(err)
		}
		if raw.Type != name || raw.Subject != step.Action.Subject() || raw.Text != step.Action.String() ||
			raw.Impact != step.Action.Impact().String() || !slices.Equal(raw.Commands, exact(step.Action)) {
			t.Errorf("%s: the readable part is wrong: %s", name, data)
		}
	}
}

// fill sets every field of a value to something that is not zero.
func fill(t *testing.T, v reflect.Value) {
	t.Helper()
	if v.Type() == reflect.TypeFor[schema.Operations]() {
		return // no role is told them, see Cluster.ProxyRole
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.String:
		v.SetString("127.0.0.1:7001")
	case reflect.Int, reflect.Int64:
		v.SetInt(2)
	case reflect.Uint64:
		v.SetUint(3)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(t, value)
		v.SetMapIndex(reflect.ValueOf("maxmemory"), value)
	default:
		t.Fatalf("fill cannot make a %s", v.Type())
	}
}

func TestPlanRoundTrip(t *testing.T) {
	t.Parallel()
	c := testCluster(3, 3)
	plan := NewPlan(c, absent(c), nil)
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var back Plan
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(&back); err != nil || string(again) != string(data) || len(back.Steps) == 0 {
		t.Errorf("got %s, %v\nwant %s", again, err, data)
	}
}

func TestUnmarshalStepErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"type":"reboot","args":{}}`:                             `"reboot" is unknown`,
		`{"type":"promote","args":[]}`:                            "decode promote",
		`{"type":"stop-role","args":{"role":{},"impact":"very"}}`: "impact",
		`[]`: "decode step",
		`{"type":"promote","args":{"node":"r1"},"epoch":"not a number"}`: "decode step",
	} {
		var step Step
		if err := json.Unmarshal([]byte(text), &step); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
}

// TestNoSecretInCommands: a secret is named by its reference, in text and JSON.
func TestNoSecretInCommands(t *testing.T) {
	t.Setenv("RSM_TEST_SECRET", "hunter2")
	step := Step{Action: Monitor{Sentinel: "s1", Cluster: "cache", Password: &schema.Secret{Env: "RSM_TEST_SECRET"}}}
	data, err := json.Marshal(step)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "hunter2") || !strings.Contains(step.Action.Commands()[1].String(), "<env:RSM_TEST_SECRET>") {
		t.Errorf("got %s", data)
	}
}

func TestFingerprint(t *testing.T) {
	t.Parallel()
	same := map[string]func(*State){
		"offset":      func(s *State) { s.Redis["r1"].Offset++ },
		"keys":        func(s *State) { s.Redis["r1"].Keys++ },
		"uptime":      func(s *State) { s.Redis["r1"].Uptime++ },
		"last io":     func(s *State) { s.Redis["r2"].LastIO++ },
		"clone":       func(s *State) { *s = *s.Clone() },
		"known order": func(s *State) { k := s.Sentinels["s1"].Replicas; k[0], k[1] = k[1], k[0] },
	}
	moved := map[string]func(*State){
		"reach":         func(s *State) { s.Redis["r2"].Reach = Unknown },
		"run id":        func(s *State) { s.Redis["r2"].RunID = "other" },
		"role":          func(s *State) { s.Redis["r2"].Role = Master },
		"master":        func(s *State) { s.Redis["r2"].Master = "1.1.1.1:1" },
		"link":          func(s *State) { s.Redis["r2"].LinkUp = false },
		"loading":       func(s *State) { s.Redis["r2"].Loading = true },
		"history":       func(s *State) { s.Redis["r2"].ReplID = "other" },
		"emptied":       func(s *State) { s.Redis["r1"].Keys = 0 },
		"failover":      func(s *State) { s.Redis["r1"].FailoverState = "waiting-for-sync" },
		"config":        func(s *State) { s.Redis["r1"].Config["maxmemory"] = "1" },
		"port taken":    func(s *State) { s.Redis["r1"].Process.Foreign = "nginx" },
		"disk":          func(s *State) { s.Redis["r1"].Process.Data = No },
		"sentinel down": func(s *State) { s.Sentinels["s1"].Reach = Down },
		"epoch":         func(s *State) { s.Sentinels["s1"].Epoch++ },
		"named":         func(s *State) { s.Sentinels["s1"].Master = s.Redis["r2"].Addr },
		"deciding":      func(s *State) { s.Sentinels["s1"].Flags = []string{"failover_in_progress"} },
		"quorum":        func(s *State) { s.Sentinels["s1"].Quorum = 1 },
		"down-after":    func(s *State) { s.Sentinels["s1"].DownAfter++ },
		"replicas":      func(s *State) { s.Sentinels["s1"].Replicas = nil },
		"peers":         func(s *State) { s.Sentinels["s1"].Peers = nil },
		"surplus":       func(s *State) { s.Surplus = []SurplusRole{{Name: "r9"}} },
	}
	base := Fingerprint(usual(t, whole))
	for name, change := range same {
		s := usual(t, whole)
		if change(s); Fingerprint(s) != base {
			t.Errorf("%s moved it", name)
		}
	}
	for name, change := range moved {
		s := usual(t, whole)
		if change(s); Fingerprint(s) == base {
			t.Errorf("%s did not move it", name)
		}
	}
}
