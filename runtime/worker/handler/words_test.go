package handler

import (
	"os/exec"
	"strings"
	"testing"

	"rsm/schema"
)

// TestMailForTheNight: who is woken by the mail reads how bad it is, what, since
// when, where and what to do next, with what the last event said.
func TestMailForTheNight(t *testing.T) {
	t.Parallel()
	mail := schema.Handler{Name: "mail", Email: &schema.Email{Server: "192.0.2.1:25", From: "rsm@x.example", To: []string{"a@b.example"}}}
	payload := `{"handler":"mail","alerts":{"status":"firing","reason":"repeat","rule":"redis-down","severity":"critical","alerts":[
		{"rule":"redis-down","status":"firing","severity":"critical","labels":{"host":"db1","node":"r2"},"summary":"r2 does not answer","value":0,
		 "since":"2026-03-14T11:55:00Z","event":{"up":0,"addr":"192.0.2.7:6379","disks":[1],"id":"x","host":"db1","error":"connection refused"}}]}}`
	shown, _, err := Preview(t.Context(), mail, Task{ID: "t", Payload: []byte(payload)}, Env{Cluster: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(strings.NewReplacer("\r\n", "\n", "=\r\n", "", "=\n", "").Replace(string(shown)), "<!doctype")
	for _, want := range []string{
		"Subject: [FIRING] critical: r2 does not answer in shop (still)\n", "since 2026-03-14 11:55:00 UTC\n", "  node: r2\n",
		"  last event:\n    error: connection refused\n    addr: 192.0.2.7:6379\n    up: 0\n\n", "Why now: it goes on; nothing has changed",
		"rsm alerts --cluster shop, rsm status --cluster shop\n", "rsm silence add --for 2h --reason WHY --cluster shop rule=3Dredis-down host=3Ddb1 node=3Dr2",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q:\n%s", want, text)
		}
	}
}

// TestSilenceIsSafeToPaste: a label is what an agent wrote.
func TestSilenceIsSafeToPaste(t *testing.T) {
	t.Parallel()
	a := Alert{Rule: "r", Labels: map[string]string{"host": "x'; touch $(pwd)/gone; '\necho", "a=b": "1"}}
	command := strings.Replace(a.Silence("c"), "rsm ", "printf '%s|' ", 1)
	out, err := exec.Command("sh", "-c", command).CombinedOutput()
	if want := "silence|add|--for|2h|--reason|WHY|--cluster|c|rule=r|host=x'; touch $(pwd)/gone; ' echo|"; err != nil || string(out) != want {
		t.Errorf("%s prints %q, want %q (%v)", command, out, want, err)
	}
}

// TestMoreThanFits: whoever reads of a part is told so.
func TestMoreThanFits(t *testing.T) {
	t.Parallel()
	mail := schema.Handler{Name: "mail", Email: &schema.Email{Server: "192.0.2.1:25", From: "rsm@x.example", To: []string{"a@b.example"}}}
	alerts := strings.Repeat(`{"rule":"down","status":"firing","summary":"r1 is down"},`, 99) + `{"rule":"down","status":"firing"}`
	payload := `{"alerts":{"status":"firing","reason":"new","rule":"down","alerts":[` + alerts + `],"more":400}}`
	shown, _, err := Preview(t.Context(), mail, Task{ID: "t", Payload: []byte(payload)}, Env{})
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(shown), "\r\n", "\n")
	for _, want := range []string{"Subject: [FIRING:100+] r1 is down and 499 more\n", "\nand 450 more: rsm alerts lists them\n\nWhy now: it has just begun", "<p>and 450 more:"} {
		if !strings.Contains(text, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	if n := strings.Count(text, "FIRING  r1 is down"); n != 50 {
		t.Errorf("it describes %d alerts", n)
	}
}
