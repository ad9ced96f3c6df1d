package reconcile

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"rsm/schema"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestPlanGoldens makes the plan for the spec, state and allowed kinds of each
// txtar file and compares its verbose text. Every plan is then run to its end on
// the model: no invariant of the property tests may break, and no step may remain.
func TestPlanGoldens(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(files) < 40 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			checkGolden(t, file)
		})
	}
}

func checkGolden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	w, plan := goldenPlan(t, archive)
	var text strings.Builder
	Printer{W: &text, Verbose: true}.Plan(plan)
	compareGolden(t, file, archive, text.String())
	for _, step := range plan.Steps {
		w.perform(step.Action)
	}
	if rest := w.plan(); len(rest.Steps) > 0 {
		t.Errorf("the end of the plan is not its end: %s", texts(rest.Steps))
	}
	for _, failure := range w.failed {
		t.Errorf("invariant: %s", failure)
	}
}

// goldenPlan reads a scenario and plans for it.
func goldenPlan(t *testing.T, archive *txtar.Archive) (*world, *Plan) {
	t.Helper()
	w := &world{c: goldenSpec(t, section(archive, "spec.cue"))}
	var err error
	if w.s, err = parseState(w.c, section(archive, "state")); err != nil {
		t.Fatal(err)
	}
	if w.allow, err = ParseAllow(strings.Fields(section(archive, "allow"))); err != nil {
		t.Fatal(err)
	}
	if text := strings.TrimSpace(section(archive, "wish")); text != "" {
		from, to, _ := strings.Cut(text, " ")
		w.wish = &Wish{From: from, To: to}
	}
	return w, w.plan()
}

// scenario reads a golden file for a test that looks at one thing in its plan.
func scenario(t *testing.T, name string) (*world, *Plan) {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "plan", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	return goldenPlan(t, archive)
}

// goldenSpec loads CUE text with the schema's own loader; empty text is the
// usual cluster of three redis-servers and three Sentinels.
func goldenSpec(t *testing.T, text string) *schema.Cluster {
	t.Helper()
	if text == "" {
		content, err := os.ReadFile(filepath.Join("testdata", "plan", "default.cue"))
		if err != nil {
			t.Fatal(err)
		}
		text = string(content)
	}
	path := filepath.Join(t.TempDir(), "rsm.cue")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	spec, problems := schema.Load(context.Background(), path, schema.Limits{})
	if spec == nil || len(spec.Clusters) != 1 {
		t.Fatalf("load spec: %v", problems)
	}
	return spec.Clusters[0]
}

func section(archive *txtar.Archive, name string) string {
	for _, f := range archive.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func compareGolden(t *testing.T, file string, archive *txtar.Archive, got string) {
	t.Helper()
	if got == section(archive, "plan") {
		return
	}
	if !*update {
		t.Errorf("got\n%s\nwant\n%s", got, section(archive, "plan"))
		return
	}
	archive.Files = append(archive.Files[:planIndex(archive)], txtar.File{Name: "plan", Data: []byte(got)})
	if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
		t.Fatal(err)
	}
}

// planIndex is where the plan is, or goes: last.
func planIndex(archive *txtar.Archive) int {
	for i, f := range archive.Files {
		if f.Name == "plan" {
			return i
		}
	}
	return len(archive.Files)
}
