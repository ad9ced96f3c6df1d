package schema

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// TestService loads service.cue of each txtar file and compares the problems
// (file "problems") and, when that is there, the service (file "service.json").
func TestService(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/service/*.txtar")
	if err != nil || len(cases) < 8 {
		t.Fatalf("found %d cases, %v", len(cases), err)
	}
	for _, name := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			goldenService(t, name)
		})
	}
}

func goldenService(t *testing.T, name string) {
	archive, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "etc")
	write(t, filepath.Join(dir, "service.cue"), string(archive.Files[0].Data))
	service, problems := LoadService(t.Context(), filepath.Join(dir, "service.cue"))
	if problems.Invalid() != (service == nil) {
		t.Errorf("service is nil: %v, but invalid: %v", service == nil, problems.Invalid())
	}
	var text strings.Builder
	if err := problems.WriteText(&text, true); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{"problems": strings.ReplaceAll(text.String(), dir, "DIR")}
	if service != nil {
		out, err := json.MarshalIndent(service, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got["service.json"] = strings.ReplaceAll(strings.ReplaceAll(string(out), dir, "DIR"), filepath.Dir(dir), "ABOVE") + "\n"
	}
	if strings.Contains(text.String(), "hunter2") {
		t.Errorf("a secret is printed:\n%s", text.String())
	}
	compare(t, name, archive, got)
}

// TestServiceIsAbsent: a path without a file, and one with a spec.
func TestServiceIsAbsent(t *testing.T) {
	t.Parallel()
	if service, problems := LoadService(t.Context(), filepath.Join(t.TempDir(), "none.cue")); service != nil || problems[0].Code != CodePath ||
		!strings.Contains(problems[0].Hint, "service.md") {
		t.Errorf("got %v", problems)
	}
	if service, problems := LoadService(t.Context(), "../examples/lain.cue"); service != nil || !problems.Invalid() {
		t.Errorf("got %v", problems)
	}
}

// TestURL: from the text, and from the secret.
func TestURL(t *testing.T) {
	t.Setenv("RSM_TEST_URL", "https://example.org/b")
	for want, u := range map[string]URL{"https://example.org/a": {Text: "https://example.org/a"}, "https://example.org/b": {Secret: &Secret{Env: "RSM_TEST_URL"}}} {
		if got, err := u.Read(); got != want || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
}

const serviceIntroduction = `# Service reference

<!-- Generated from schema/service.cue by: go test ./schema -run TestServiceDocs -update -->

The configuration of ` + "`rsm serve`" + ` is one ` + "`.cue`" + ` file. It lies on the machine of the service, not in the repository of the specs, and holds no
secret, only where they are. The least of it:

` + "```cue" + `
source: git: "https://forge.example.org/ops/redis.git"
` + "```" + `

One with all that most need:

` + "```cue" + `
source: {
	git: "ssh://git@forge.example.org/ops/redis.git"
	path: "deploy"
	auth: {key: "/etc/rsm/id_ed25519", knownHosts: "/etc/rsm/known_hosts"}
	verify: {mode: "range", ssh: "/etc/rsm/allowed_signers"}
}
token: file: "/etc/rsm/token"
webhook: secrets: [{file: "/etc/rsm/hook-secret"}]
notify: [{type: "slack", url: file: "/etc/rsm/slack-url", events: ["apply.failed", "held", "source.stale"]}]
` + "```" + `

What is wrong in it is told as for a [spec](spec.md#codes), with the same codes. Relative paths are relative to the file.

`

// TestServiceDocs: docs/service.md is what the comments of service.cue say, and
// its examples are valid. -update writes it anew.
func TestServiceDocs(t *testing.T) {
	t.Parallel()
	const path = "../docs/service.md"
	syntax, err := serviceSyntax()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := tables(syntax)
	if err != nil {
		t.Fatal(err)
	}
	events := "\n## Events\n\nWhat `events` of notify may name: `" + strings.Join(Events(), "`, `") + "`.\n"
	want := serviceIntroduction + elsewhere(tables) + events
	for i, part := range strings.Split(want, "```cue\n")[1:] {
		example, _, _ := strings.Cut(part, "```")
		file := filepath.Join(t.TempDir(), "service.cue")
		write(t, file, example)
		if _, problems := LoadService(t.Context(), file); len(problems) > 0 {
			t.Errorf("example %d: %v", i+1, problems)
		}
	}
	if got, err := os.ReadFile(path); err == nil && string(got) == want {
		return
	}
	if !*update {
		t.Fatalf("%s is stale: run go test ./schema -run TestServiceDocs -update", path)
	}
	write(t, path, want)
}

// elsewhere lets links to what is defined in schema.cue lead to its page.
func elsewhere(text string) string {
	for _, part := range strings.Split(text, "](#")[1:] {
		name, _, _ := strings.Cut(part, ")")
		if !strings.Contains(text, `id="`+name+`"`) && !strings.Contains(strings.ToLower(text), "\n### "+name+"\n") {
			text = strings.ReplaceAll(text, "](#"+name+")", "](spec.md#"+name+")")
		}
	}
	return text
}
