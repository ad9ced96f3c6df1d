package schema

import (
	"encoding/json"
	"strings"
	"testing"
)

var someProblems = Problems{
	{Code: CodeIgnored, Severity: SeverityWarning, File: "deploy/a.yaml", Message: "this file is not read"},
	{Code: CodeValue, Severity: SeverityError, File: "deploy/späte caches/a.cue", Line: 3, Col: 12, Path: "clusters.a", Message: `got "<b>|*"`,
		Hint: "ask @ops", Source: `	ä: "😀", b: "<b>|*"`},
	{Code: CodePath, Severity: SeverityError, File: "/etc/a.cue", Message: "no such file or directory"},
}

// TestSARIF: what code scanning needs of a log: rules with help, a level, an
// index that is right, places relative to the root, columns in UTF-16.
func TestSARIF(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := someProblems.WriteSARIF(&b, "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal([]byte(b.String()), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if log.Version != "2.1.0" || run.Tool.Driver.Name != "rsm" || run.Tool.Driver.Version != "1.2.3" || len(run.Results) != len(someProblems) {
		t.Fatalf("got %s", b.String())
	}
	for _, rule := range run.Tool.Driver.Rules {
		if rule.Short.Text == "" || rule.Full.Text == "" || rule.Help.Text == "" || rule.Help.Markdown == "" || rule.Configuration.Level == "" || len(rule.Short.Text) > 1024 {
			t.Errorf("rule %+v", rule)
		}
	}
	for i, result := range run.Results {
		if p := someProblems[i]; run.Tool.Driver.Rules[result.Index].ID != p.Code || result.Rule != p.Code || result.Level != p.Severity || len(result.Locations) != 1 {
			t.Errorf("result %+v", result)
		}
	}
	value := run.Results[1].Locations[0].Physical
	if value.Artifact.URI != "deploy/sp%C3%A4te%20caches/a.cue" || value.Artifact.Base != "%SRCROOT%" || value.Region.Line != 3 || value.Region.Col != 9 {
		t.Errorf("place %+v %+v", value.Artifact, value.Region)
	}
	if got := run.Results[2].Locations[0].Physical; got.Artifact.URI != "file:///etc/a.cue" || got.Artifact.Base != "" || got.Region != nil {
		t.Errorf("place %+v", got)
	}
	if got := run.Results[1].Message.Text; got != "clusters.a: got \"<b>|*\"\nask @ops" {
		t.Errorf("message %q", got)
	}
}

// TestSARIFOfNothing: no problems are an empty list of results.
func TestSARIFOfNothing(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := Problems(nil).WriteSARIF(&b, ""); err != nil || !strings.Contains(b.String(), `"results": []`) {
		t.Errorf("%v: %s", err, b.String())
	}
}

// TestMarkdown: errors first, nothing in the text is Markdown, and it fits.
func TestMarkdown(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := someProblems.WriteMarkdown(&b); err != nil {
		t.Fatal(err)
	}
	want := "<!-- rsm-validate -->\n**rsm validate: 2 errors, 1 warning**\n\n| place | | what is wrong |\n| --- | --- | --- |\n" +
		"| `deploy/späte caches/a.cue:3:12` | error RSM021 | clusters.a: got \"&lt;b&gt;\\|\\*\"<br>ask @\u200bops |\n" +
		"| `/etc/a.cue` | error RSM001 | no such file or directory |\n" +
		"| `deploy/a.yaml` | warning RSM005 | this file is not read |\n"
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
	var many Problems
	for range 2000 {
		many = append(many, someProblems...)
	}
	b.Reset()
	if err := many.WriteMarkdown(&b); err != nil || b.Len() > 60_000 || !strings.Contains(b.String(), "more\n") {
		t.Errorf("%v: %d bytes", err, b.Len())
	}
}
