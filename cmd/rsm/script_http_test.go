package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdHTTP asks over HTTP, and prints the answer to stdout.
func cmdHTTP(ts *testscript.TestScript, neg bool, words []string) {
	args(ts, neg, len(words) >= 3 && len(words) <= 5, "http CODE METHOD URL [TOKEN [BODY]]")
	words = append(words, "", "")
	request, err := http.NewRequest(words[1], words[2], strings.NewReader(words[4]))
	ts.Check(err)
	if words[3] != "" {
		request.Header.Set("Authorization", "Bearer "+words[3])
	}
	answer, err := http.DefaultClient.Do(request)
	ts.Check(err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	ts.Check(err)
	_, _ = ts.Stdout().Write(text)
	if got := fmt.Sprint(answer.StatusCode); got != words[0] {
		ts.Fatalf("%s %s: %s, want %s\n%s", words[1], words[2], got, words[0], text)
	}
}
