package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/controller/hook"
)

const (
	// notifyTime is for one try, notifyPause before the second one.
	notifyTime  = 5 * time.Second
	notifyPause = time.Second
	// maxRefs are told; of more nothing is, which means that any may be among them.
	maxRefs = 1000
)

func hookNotifyCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "notify",
		Usage:     "tell the service of a push; what post-receive runs",
		ArgsUsage: " ",
		Description: "Reads what git gives to post-receive, a line \"OLD NEW REF\" for each ref, posts it, signed with the\n" +
			"secret, and prints one line. It tries twice, 5 seconds each. If that fails, the service finds the push\n" +
			"at its next look.\n\n" + exitCodeHelp,
		Flags: hookFlags(""),
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return usage("hook notify takes no arguments, got %s", strings.Join(c.Args().Slice(), " "))
			}
			target, err := readHookTarget(c)
			if err != nil {
				return err
			}
			refs, err := readRefs(con.in)
			if err != nil {
				return err
			}
			if target.branch != "" && len(refs) > 0 && !slices.Contains(refs, "refs/heads/"+target.branch) {
				fmt.Fprintf(con.out, "nothing was pushed to %s\n", target.branch)
				return nil
			}
			said, err := target.notify(c.Context, refs)
			if err != nil {
				return err
			}
			fmt.Fprintf(con.out, "told %s: %s\n", target.url, said)
			return nil
		},
	}
}

// readRefs reads the lines of post-receive. nil means that any ref may have been
// pushed.
func readRefs(in io.Reader) ([]string, error) {
	var refs []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		if words := strings.Fields(lines.Text()); len(words) == 3 && len(refs) <= maxRefs {
			refs = append(refs, words[2])
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read refs: %w", err)
	}
	if len(refs) > maxRefs {
		return nil, nil
	}
	return refs, nil
}

// notify posts, and posts again if nobody has answered for sure.
func (t hookTarget) notify(ctx context.Context, refs []string) (said string, err error) {
	secret, err := t.secret()
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(hook.Push{Refs: refs})
	if err != nil {
		return "", err
	}
	id := rand.Text()
	said, again, err := t.post(ctx, body, secret, id)
	if err == nil || !again {
		return said, err
	}
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(notifyPause):
	}
	said, _, err = t.post(ctx, body, secret, id)
	return said, err
}

// post tries once. again tells whether another try may help.
func (t hookTarget) post(ctx context.Context, body []byte, secret, id string) (said string, again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, notifyTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(body))
	if err != nil {
		return "", false, err
	}
	name, signature := hook.Sign(body, secret)
	req.Header.Set(name, signature)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Delivery", id)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err // the rest is said below
		}
		return "", true, fmt.Errorf("tell %s: %w", t.url, err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 200))
	said = strings.Join(strings.Fields(string(text)), " ")
	if res.StatusCode != http.StatusAccepted {
		return "", res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests, fmt.Errorf("tell %s: it answers %s: %s", t.url, res.Status, said)
	}
	return said, false, nil
}
