package main

import (
	"fmt"
	"os"
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdHas waits until a file matches; with !, it must not match now.
func cmdHas(ts *testscript.TestScript, neg bool, words []string) {
	if len(words) != 2 {
		ts.Fatalf("usage: has FILE REGEXP")
	}
	wanted := regexp.MustCompile(labOf(ts).expand(words[1]))
	look := func() error {
		content, err := os.ReadFile(ts.MkAbs(words[0]))
		if err == nil && !wanted.Match(content) {
			err = fmt.Errorf("%s does not match %s; it has\n%.2000s", words[0], words[1], content)
		}
		return err
	}
	if !neg {
		until(ts, look)
	} else if look() == nil {
		ts.Fatalf("%s matches %s", words[0], words[1])
	}
}
