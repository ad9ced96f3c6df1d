package handler

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"rsm/schema"
)

func TestLogWritesWholeLines(t *testing.T) {
	t.Parallel()
	spool := t.TempDir()
	h := schema.Handler{Name: "audit", Log: &schema.Log{File: "logs/audit.jsonl", MaxSize: 20_000}}
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 25 {
				if _, err := Run(t.Context(), h, eventTask(`{"text":"line\nbreak"}`), Env{Spool: spool}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	for _, name := range []string{"audit.jsonl", "audit.jsonl.1"} {
		path := filepath.Join(spool, "logs", name)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 || info.Size() > 20_000 {
			t.Errorf("%s is %v with %d bytes", name, info.Mode(), info.Size())
		}
		for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); {
			var line struct {
				Task    string
				Payload struct{ Event struct{ Text string } }
			}
			if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line.Task != "01J9Z0:mail" || line.Payload.Event.Text != "line\nbreak" {
				t.Fatalf("%s: %v: %s", name, err, lines.Text())
			}
		}
	}
}

func TestLogElsewhere(t *testing.T) {
	t.Parallel()
	var f *Failure
	h := schema.Handler{Name: "audit", Log: &schema.Log{File: "../outside"}}
	if _, err := Run(t.Context(), h, eventTask(`{}`), Env{Spool: t.TempDir()}); !errors.As(err, &f) || !f.Permanent() {
		t.Errorf("a file outside of the spool is %v", err)
	}
	var out bytes.Buffer
	h.Log.File = ""
	if _, err := Run(t.Context(), h, eventTask(`{"a":1}`), Env{Log: slog.New(slog.NewJSONHandler(&out, nil))}); err != nil || !strings.Contains(out.String(), `\"a\":1`) {
		t.Errorf("the log has %s, %v", out.String(), err)
	}
}
