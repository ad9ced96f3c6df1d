package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"rsm/internal/redistest"
	"rsm/schema"
)

func TestExample(t *testing.T) {
	server := redistest.Start(t)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = write
	err = run(t.Context(), schema.Addr(server.Addr()))
	os.Stdout = stdout
	_ = write.Close()
	if err != nil {
		t.Fatal(err)
	}
	printed, _ := io.ReadAll(read)
	for _, want := range []string{`hello-ada: done "Hello, Ada!"`, `hello-bob: done "Hello, Bob!"`, "hello-nobody: dead nobody to greet in {}"} {
		if !strings.Contains(string(printed), want) {
			t.Errorf("it does not print %s:\n%s", want, printed)
		}
	}
}
