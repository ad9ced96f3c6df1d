package source

import (
	"errors"
	"fmt"
	"io"
	"testing"
)

// The text is go-git's: another version may need another look.
func TestHurried(t *testing.T) {
	t.Parallel()
	for want, errs := range map[bool][]error{
		true:  {fmt.Errorf("closing input: %s", io.EOF), fmt.Errorf("fetch: %w", errors.New("closing input: EOF"))},
		false: {nil, io.EOF, errors.New("closing input: broken pipe"), errors.New("closing input: EOF, and more")},
	} {
		for _, err := range errs {
			if hurried(err) != want {
				t.Errorf("%v: %v", err, !want)
			}
		}
	}
}
