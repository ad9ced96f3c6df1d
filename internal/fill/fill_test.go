package fill_test

import (
	"strings"
	"testing"
	"text/template"
	"time"

	"rsm/internal/fill"
)

func TestFunctions(t *testing.T) {
	t.Parallel()
	data := map[string]any{"n": 95.678, "word": "web", "list": []any{"a", 1.0}, "size": 1536.0, "when": time.Date(2030, 1, 7, 10, 5, 0, 0, time.UTC), "empty": ""}
	for source, want := range map[string]string{
		`{{round 1 .n}} {{round 0 .word}} {{round 99 1}}`:                   "95.7 web 1.00000000000000000000",
		`{{upper .word}} {{lower "ABC"}} {{text .n}} {{text .none}}`:        "WEB abc 95.678 ",
		`{{join ", " .list}} {{json .list}}`:                                `a, 1 ["a",1]`,
		`{{humanBytes .size}} {{humanBytes 12}} {{humanBytes .word}}`:       "1.5 KiB 12 B -",
		`{{humanDuration 310}} {{humanDuration 1.5}} {{humanDuration -90}}`: "5m 10s 1.5s -1m 30s",
		`{{default "none" .empty}} {{.word | default "none"}}`:              "none web",
		`{{date "15:04" .when}} {{date "2006" "2031-01-01T00:00:00Z"}}`:     "10:05 2031",
	} {
		var out strings.Builder
		err := template.Must(template.New("").Funcs(fill.Functions()).Parse(source)).Execute(&out, data)
		if err != nil || out.String() != want {
			t.Errorf("%s is %q, %v; want %q", source, out.String(), err, want)
		}
	}
	for _, source := range []string{`{{join ", " .n}}`, `{{date "2006" .word}}`, `{{date "2006" .none}}`} {
		if err := template.Must(template.New("").Funcs(fill.Functions()).Parse(source)).Execute(new(strings.Builder), data); err == nil {
			t.Errorf("%s is no error", source)
		}
	}
}
