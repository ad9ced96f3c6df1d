package main

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
	"go.yaml.in/yaml/v3"
)

// ciFiles are what pipelines take from this repository, and the page that says how.
var ciFiles = []string{"../../ci/github/action.yml", "../../ci/gitlab/rsm.yml", "../../.pre-commit-hooks.yaml", "../../docs/gitops.md"}

// usedCommand is rsm, or the variable that names it, with a command.
var usedCommand = regexp.MustCompile(`(?:^|[\s'>-])(?:rsm|"\$RSM") +([a-z][a-z-]*)([^\n|>]*)`)

// TestCINamesWhatExists: every command and flag in the files for pipelines is
// one of rsm.
func TestCINamesWhatExists(t *testing.T) {
	t.Parallel()
	app := newApp(&console{in: strings.NewReader(""), out: io.Discard, err: io.Discard})
	seen := map[string]bool{}
	for _, name := range ciFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, use := range usedCommand.FindAllStringSubmatch(onlyCode(name, string(text)), -1) {
			seen[use[1]] = true
			c := app.Command(use[1])
			if c == nil {
				t.Errorf("%s: there is no command in %q", name, use[0])
				continue
			}
			words := strings.Fields(use[2])
			if len(words) > 0 {
				if sub := subcommand(c, words[0]); sub != nil {
					c = sub
				}
			}
			for _, word := range words {
				word = strings.TrimRight(strings.TrimPrefix(word, "${CLUSTER:+"), ",.:")
				if flag, _, _ := strings.Cut(word, "="); strings.HasPrefix(flag, "--") && !hasFlag(c, flag[2:]) {
					t.Errorf("%s: rsm %s has no flag %s", name, c.Name, flag)
				}
			}
		}
	}
	if !seen["validate"] || !seen["plan"] || !seen["status"] {
		t.Errorf("only these commands were found: %v", seen)
	}
}

// onlyCode is the fenced code of the page's section, and other files without their
// descriptions.
func onlyCode(name, text string) string {
	if filepath.Ext(name) != ".md" {
		return regexp.MustCompile(`description: .*`).ReplaceAllString(text, "")
	}
	_, text, _ = strings.Cut(text, "\n## In CI\n")
	text, _, _ = strings.Cut(text, "\n## ")
	var code strings.Builder
	for i, part := range strings.Split(text, "```") {
		if i%2 == 1 {
			code.WriteString(part)
		}
	}
	return code.String()
}

func hasFlag(c *cli.Command, name string) bool {
	return slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return slices.Contains(f.Names(), name) })
}

// TestCIFiles: they are YAML, with what each reader of theirs needs.
func TestCIFiles(t *testing.T) {
	t.Parallel()
	var hooks []struct{ ID, Name, Entry, Language, Files string }
	readYAML(t, "../../.pre-commit-hooks.yaml", &hooks)
	if len(hooks) != 1 || hooks[0].ID != "rsm-validate" || hooks[0].Entry != "rsm validate" || hooks[0].Language == "" {
		t.Errorf("hooks are %+v", hooks)
	}
	if files := regexp.MustCompile(hooks[0].Files); !files.MatchString("deploy/a.cue") || files.MatchString("a.cue.md") {
		t.Errorf("the hook looks at %s", hooks[0].Files)
	}
	var jobs map[string]struct {
		Stage  string
		Script []string
		Needs  []string
	}
	var raw map[string]yaml.Node
	readYAML(t, "../../ci/gitlab/rsm.yml", &raw)
	delete(raw, "variables")
	text, err := yaml.Marshal(raw)
	if err != nil || yaml.Unmarshal(text, &jobs) != nil || len(jobs) != 2 {
		t.Fatalf("jobs are %v, %v", jobs, err)
	}
	for name, job := range jobs {
		if job.Stage == "" || len(job.Script) == 0 || len(job.Needs) > 0 && jobs[job.Needs[0]].Stage == "" {
			t.Errorf("job %s is %+v", name, job)
		}
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, into)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// action is a composite action, as far as it is run here.
type action struct {
	Inputs  map[string]struct{ Description, Default string }
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []struct {
			ID, Name, If, Shell, Run string
			Env                      map[string]string
		}
	}
}

// TestGitHubAction runs the steps as a workflow would: a good spec with and
// without changes, a bad one, and inputs that a shell must not take apart.
func TestGitHubAction(t *testing.T) {
	t.Parallel()
	var a action
	readYAML(t, "../../ci/github/action.yml", &a)
	if a.Runs.Using != "composite" || len(a.Runs.Steps) != 3 {
		t.Fatalf("got %+v", a)
	}
	bin := filepath.Join(buildRSM(t), "rsm")
	dir := filepath.Join(t.TempDir(), "with blank")
	spec := filepath.Join(dir, "spec")
	if err := os.MkdirAll(spec, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(spec, "a.cue"), "package a\n\nclusters: cache: {\n\tredis: nodes: {a: port: 1, b: port: 2}\n\tsentinel: nodes: {s1: port: 3, s2: port: 4, s3: port: 5}\n}\n")
	status := exec.Command(bin, "status", "--json", "--state-dir", filepath.Join(dir, "state"), spec)
	text, err := status.Output()
	if err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "status.json")
	writeFile(t, state, string(text))

	given := map[string]string{"rsm": bin, "path": spec, "state": state, "sarif": filepath.Join(dir, "rsm.sarif"), "cluster": "cache"}
	outputs, ok := a.run(t, dir, given)
	if !ok || !strings.Contains(outputs, "pending=true\n") || !strings.Contains(outputs, "\n"+planMarker+"\n**rsm plan: 1 of 1 cluster would change") {
		t.Errorf("ok %v, outputs are\n%s", ok, outputs)
	}
	for name, output := range a.Outputs {
		if id := regexp.MustCompile(`steps\.plan\.outputs\.([a-z-]+)`).FindStringSubmatch(output.Value); id == nil || !strings.Contains(outputs, "\n"+id[1]) && !strings.HasPrefix(outputs, id[1]) {
			t.Errorf("output %s is %s, which no step sets", name, output.Value)
		}
	}
	if summary, err := os.ReadFile(filepath.Join(dir, "summary")); err != nil || !strings.Contains(string(summary), planMarker) {
		t.Errorf("the summary is %q, %v", summary, err)
	}
	if outputs, ok := a.run(t, dir, map[string]string{"rsm": bin, "path": spec}); !ok || outputs != "" {
		t.Errorf("without a state: %v, %q", ok, outputs)
	}
	given["cluster"] = "nosuch"
	if _, ok := a.run(t, dir, given); ok {
		t.Error("a plan of no cluster is fine")
	}
	writeFile(t, filepath.Join(spec, "b.cue"), "package a\n\nclusters: cache: redis: nodez: {}\n")
	if _, ok := a.run(t, dir, given); ok {
		t.Error("a bad spec is fine")
	}
	if sarif, err := os.ReadFile(given["sarif"]); err != nil || !strings.Contains(string(sarif), `"ruleId": "RSM020"`) {
		t.Errorf("the SARIF is %s, %v", sarif, err)
	}
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run does the steps until one fails, and returns what they put out.
func (a action) run(t *testing.T, dir string, given map[string]string) (outputs string, ok bool) {
	t.Helper()
	input := func(name string) string {
		if value, is := given[name]; is {
			return value
		}
		declared, is := a.Inputs[name]
		if !is {
			t.Errorf("there is no input %s", name)
		}
		return declared.Default
	}
	output := filepath.Join(dir, "output")
	writeFile(t, output, "")
	expression := regexp.MustCompile(`^\$\{\{ inputs\.([a-z]+) \}\}$`)
	for _, step := range a.Runs.Steps {
		if strings.Contains(step.Run, "${{") {
			t.Errorf("step %s has an expression in its script", step.Name)
		}
		if name, unset := strings.CutSuffix(strings.TrimPrefix(step.If, "inputs."), " != ''"); unset && input(name) == "" {
			continue
		}
		// As GitHub runs shell: bash.
		cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step.Run)
		cmd.Env = append(os.Environ(), "GITHUB_OUTPUT="+output, "GITHUB_STEP_SUMMARY="+filepath.Join(dir, "summary"), "RUNNER_TEMP="+dir)
		for key, value := range step.Env {
			name := expression.FindStringSubmatch(value)
			if name == nil {
				t.Fatalf("step %s: %s is %s", step.Name, key, value)
			}
			cmd.Env = append(cmd.Env, key+"="+input(name[1]))
		}
		if said, err := cmd.CombinedOutput(); err != nil {
			t.Logf("%s: %v\n%s", step.Name, err, said)
			return "", false
		}
	}
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	return string(text), true
}
