package schema

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"cuelang.org/go/cue"
	"cuelang.org/go/cue/cuecontext"
	"github.com/rogpeppe/go-internal/txtar"
)

// TestSchemaAndWalkerAgree: what the walker accepts, one unification with the
// real #Spec accepts, and what the walker refuses for its shape, CUE refuses.
// So the schema stays the only truth, though it is applied piece by piece.
func TestSchemaAndWalkerAgree(t *testing.T) {
	t.Parallel()
	names, _ := filepath.Glob("testdata/*.txtar")
	compared := 0
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var content []byte
		cueFiles := 0
		for _, f := range archive.Files {
			if strings.HasSuffix(f.Name, ".cue") {
				content = f.Data
				cueFiles++
			}
		}
		// CUE itself cannot find the import in one lone file.
		if cueFiles != 1 || bytes.Contains(content, []byte("import \"rsm")) {
			continue
		}
		ok, whole := unified(t, content)
		if !ok {
			continue
		}
		compared++
		if shaped := shapeErrors(t, content); shaped != (whole != nil) {
			t.Errorf("%s: the walker refuses: %v, but CUE says: %v", name, shaped, whole)
		}
	}
	if compared < 12 {
		t.Errorf("only %d specs were compared", compared)
	}
}

// unified does what CUE alone would: the spec and #Spec in one value. ok is
// false when the spec itself is broken.
func unified(t *testing.T, content []byte) (ok bool, err error) {
	t.Helper()
	ctx := cuecontext.New()
	value := ctx.CompileBytes(content)
	if value.Validate() != nil {
		return false, nil
	}
	definition := ctx.CompileBytes(Source()).LookupPath(cue.ParsePath("#Spec"))
	return true, definition.Unify(value).Validate(cue.Concrete(true), cue.Final())
}

// shapeErrors tells whether the walker refuses a spec for its shape alone.
func shapeErrors(t *testing.T, content []byte) bool {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a.cue"), string(content))
	_, problems := Load(t.Context(), dir, Limits{})
	for _, p := range problems {
		switch p.Code {
		case CodeUnknown, CodeValue, CodeMissing, CodeIncomplete, CodeName, CodeEvaluate, CodeSecret:
			return true
		case CodeDuration, CodeVersion, CodeAddress, CodeSize, CodeCron, CodeZone:
			if strings.HasPrefix(p.Message, "want ") {
				return true
			}
		}
	}
	return false
}

// TestNoLeak: loading again and again does not grow. A cue.Context that is
// used again does, by megabytes each time.
func TestNoLeak(t *testing.T) {
	spec := fleet(t, 20, true)
	heap := func() uint64 {
		runtime.GC()
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		return stats.HeapAlloc
	}
	for range 3 {
		Load(t.Context(), spec, Limits{})
	}
	before := heap()
	for range 40 {
		if _, problems := Load(t.Context(), spec, Limits{}); problems.Invalid() {
			t.Fatal(problems)
		}
	}
	if after := heap(); after > before+8<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
}

// TestNothingOutside: a spec cannot read files that are not its own, by
// symlinked directories, pipes or imports.
func TestNothingOutside(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "outside", "secret.cue"), "package secret\nx: 6379\n")
	write(t, filepath.Join(dir, "spec", "cue.mod", "module.cue"), "module: \"m.test\"\nlanguage: version: \"v0.9.0\"\n")
	for _, path := range []string{"m.test/../outside", "m.test/../outside:secret", "../outside", "/etc"} {
		write(t, filepath.Join(dir, "spec", "a.cue"), "package a\nimport s \""+path+"\"\nclusters: {}\nservices: s.x\n")
		spec, problems := Load(t.Context(), filepath.Join(dir, "spec"), Limits{})
		if spec != nil || !problems.Invalid() {
			t.Errorf("%s can be imported", path)
		}
	}
}

// TestSecretsNeverShown: in no format, from no place.
func TestSecretsNeverShown(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`auth: password: "hunter2"`,
		`auth: "hunter2"`,
		`auth: password: ["hunter2"]`,
		`auth: password: {env: "hunter2 x"}`,
		`auth: password: {value: "hunter2"}`,
		`auth: passwrd: "hunter2"`,
		`auth: password: "\(_x)", _x: "hunter2"`,
		"auth: password: \"\"\"\n\thunter2\n\t\"\"\", prt: 1",
		`redis: config: requirepass: "hunter2", unknown: 1`,
		`redis: config: "RequirePass": "hunter2", unknown: 1`,
		`redis: config: requirepass: "hunter2" & "other"`,
		`auth: password: "hunter2" & 5`,
		`auth: password: "hunter2`,
		`password: "hunter2"`,
		`password: "hunter2" & int`,
		`handlers: a: email: {server: 1, password: "hunter2"}`,
		`handlers: a: email: {server: 1, passwd: "hunter2"}`,
		`handlers: a: email: password: {env: "hunter2 x"}`,
		`handlers: a: webhook: {url: "hunter2", x: 1}`,
		`handlers: a: webhook: {secrt: "hunter2"}`,
		`handlers: a: webhook: {to: "https://a:hunter2@b", x: 1}`,
		`handlers: a: webhook: {to: "https://a:hunter2@b:x", x: 1}`,
		`handlers: a: webhook: {to: "http:// a:hunter2@b"}`,
		`handlers: a: webhook: {to: "https://b/?api_key=hunter2", x: 1}`,
		`handlers: a: webhook: headers: {Authorization: "Bearer hunter2", "X-Api-Key": "hunter2", x: 1}`,
		`handlers: a: webhook: headerSecrets: {"X-A": "hunter2"}`,
		`handlers: a: webhook: headerSecrets: {"X-A": {env: "hunter2 x"}}`,
		`handlers: a: slack: {url: "hunter2", text: 1}`,
		`handlers: a: slack: {ulr: "hunter2"}`,
		`handlers: a: exec: {command: 1, env: {MY_TOKEN: "hunter2"}}`,
		`handlers: a: exec: {command: ["x"], secrets: {A: "hunter2"}}`,
		`handlers: a: rsm: {url: "http://x:hunter2@y", token: "hunter2"}`,
		`queues: a: tasks: "x.y/z": {command: 1, secrets: {A: {env: "hunter2 x"}}}`,
		`queues: a: tasks: x: {command: ["x"], env: {DB_PASSWORD: "hunter2"}}`,
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "a.cue"), "package a\nclusters: cache: {"+body+"}\n")
		if strings.Contains(body, "handlers:") || strings.Contains(body, "queues:") {
			write(t, filepath.Join(dir, "a.cue"), "package a\nclusters: {}\n"+body+"\n")
		}
		_, problems := Load(t.Context(), dir, Limits{})
		var out bytes.Buffer
		for _, writeTo := range []error{problems.WriteText(&out, true), problems.WriteJSON(&out), problems.WriteGitHub(&out)} {
			if writeTo != nil {
				t.Fatal(writeTo)
			}
		}
		out.WriteString(problems.Err().Error())
		if strings.Contains(out.String(), "hunter2") {
			t.Errorf("%s is shown:\n%s", body, out.String())
		}
	}
}

// TestFormats: the JSON and GitHub forms.
func TestFormats(t *testing.T) {
	t.Parallel()
	problems := Problems{
		{Code: CodeUnknown, Severity: SeverityError, File: "a,b.cue", Line: 3, Col: 7, Path: "clusters.x", Message: "100% wrong", Hint: "fix it"},
		{Code: CodeSentinels, Severity: SeverityWarning, Message: "even"},
	}
	var out bytes.Buffer
	if err := problems.WriteGitHub(&out); err != nil {
		t.Fatal(err)
	}
	want := "::error file=a%2Cb.cue,title=RSM020,line=3,col=7::clusters.x: 100%25 wrong%0Afix it\n::warning title=RSM052::even\n"
	if out.String() != want {
		t.Errorf("got %q", out.String())
	}
	out.Reset()
	if err := problems.WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var got struct {
		FormatVersion    string `json:"format_version"`
		Valid            bool
		Errors, Warnings int
		Problems         Problems
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got.FormatVersion != "1.0" || got.Valid || got.Errors != 1 || got.Warnings != 1 || len(got.Problems) != 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	if s := problems.Summary(); s != "1 error, 1 warning" {
		t.Errorf("summary is %q", s)
	}
	if err := problems.Warnings().Err(); err != nil {
		t.Errorf("warnings alone are %v", err)
	}
}

// TestDigest: it changes with any file, and with nothing else.
func TestDigest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	digest := func() string {
		spec, problems := Load(t.Context(), dir, Limits{})
		if spec == nil {
			t.Fatal(problems)
		}
		return spec.Digest
	}
	write(t, filepath.Join(dir, "a.cue"), "package a\nclusters: {}\n")
	first := digest()
	if digest() != first || len(first) != 64 {
		t.Errorf("digest is %q, then another", first)
	}
	write(t, filepath.Join(dir, "b.cue"), "package a\n")
	second := digest()
	write(t, filepath.Join(dir, "b.cue"), "package a\n// x\n")
	if third := digest(); first == second || second == third {
		t.Error("a changed file has the same digest")
	}
	if err := os.Remove(filepath.Join(dir, "b.cue")); err != nil {
		t.Fatal(err)
	}
	if digest() != first {
		t.Error("the same files have another digest")
	}
}
