package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/proxy"
	"rsm/runtime/proxy/relay"
	"rsm/schema"
)

func proxyStatusCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "status",
		Usage:     "show what a running proxy knows and does",
		ArgsUsage: "[NAME] [PATH]",
		Description: "Asks the admin listener that the spec in PATH (default: the current directory) declares for the proxy.\n" +
			"Requests per second are those between two looks; --interval 0 looks once.",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "json", Usage: "print JSON"},
			&cli.DurationFlag{Name: "interval", Value: time.Second, Usage: "time between two looks"},
		},
		Action: func(c *cli.Context) error {
			name, path, err := proxyArgs(c.Args().Slice())
			if err != nil {
				return err
			}
			role, digest, err := specProxy(c.Context, con, name, path)
			if err != nil {
				return err
			}
			s, err := lookTwice(c.Context, role, c.Duration("interval"))
			if err != nil {
				return err
			}
			s.Settings = "current"
			if s.Config != digest {
				s.Settings = "old"
			}
			if c.Bool("json") {
				return writeJSON(con.out, s)
			}
			writeProxyStatus(con.out, painter(con.out), s)
			return nil
		},
	}
}

// proxyReport is what rsm proxy status --json prints.
type proxyReport struct {
	FormatVersion string `json:"format_version"`
	// Settings is current when the proxy runs with those of the spec, else old.
	Settings string `json:"settings"`
	proxy.Status
	// Recent is what was answered between two looks.
	Recent *recentStatus `json:"recent,omitempty"`
}

type recentStatus struct {
	Seconds  float64 `json:"seconds"`
	Requests float64 `json:"requests_per_second"`
	Errors   float64 `json:"errors_per_second"`
	P50      float64 `json:"p50_seconds"`
	P99      float64 `json:"p99_seconds"`
}

// lookTwice asks a proxy twice, or once when there is no interval.
func lookTwice(ctx context.Context, role schema.ProxyRole, interval time.Duration) (*proxyReport, error) {
	first, err := askProxy(ctx, role)
	if err != nil || interval <= 0 {
		return &proxyReport{FormatVersion: formatVersion, Status: first}, err
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(interval):
	}
	second, err := askProxy(ctx, role)
	if err != nil {
		return nil, err
	}
	return &proxyReport{FormatVersion: formatVersion, Status: second, Recent: recent(first, second)}, nil
}

// recent is what was answered between two looks, nil when the proxy was started
// anew in between.
func recent(first, second proxy.Status) *recentStatus {
	seconds := second.Uptime - first.Uptime
	if !first.Started.Equal(second.Started) || seconds <= 0 {
		return nil
	}
	between := relay.Latency{Count: second.Latency.Count - first.Latency.Count}
	for i := range between.Counts {
		between.Counts[i] = second.Latency.Counts[i] - first.Latency.Counts[i]
	}
	return &recentStatus{
		Seconds: seconds, Requests: float64(between.Count) / seconds,
		Errors: float64(second.Latency.Errors-first.Latency.Errors) / seconds,
		P50:    between.Quantile(0.5).Seconds(), P99: between.Quantile(0.99).Seconds(),
	}
}

// askTime is for how long a proxy may take to answer.
const askTime = 5 * time.Second

// askProxy asks the admin listener of a proxy for its status.
func askProxy(ctx context.Context, role schema.ProxyRole) (proxy.Status, error) {
	p, none := role.Proxy, proxy.Status{}
	if p.Admin == "" || p.AdminToken == nil {
		return none, fmt.Errorf("proxy %s has no admin listener: declare one with admin: {port: …, token: …}", p.Name)
	}
	token, err := p.AdminToken.Read()
	if err != nil {
		return none, &exit{exitInvalid, fmt.Errorf("token of proxy %s: %w", p.Name, err)}
	}
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+string(p.Admin)+"/status", nil)
	if err != nil {
		return none, fmt.Errorf("ask proxy %s: %w", p.Name, err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // and no HTTP_PROXY
	response, err := client.Do(request)
	if err != nil {
		return none, fmt.Errorf("proxy %s does not answer at %s: %w", p.Name, p.Admin, bare(err))
	}
	defer response.Body.Close()
	const most = 64 << 20
	content, err := io.ReadAll(io.LimitReader(response.Body, most))
	switch {
	case err != nil:
		return none, fmt.Errorf("read status of proxy %s: %w", p.Name, err)
	case response.StatusCode == http.StatusUnauthorized:
		return none, fmt.Errorf("proxy %s at %s wants another token than %s: it may run with older settings", p.Name, p.Admin, p.AdminToken)
	case response.StatusCode != http.StatusOK:
		return none, fmt.Errorf("proxy %s at %s answers %s: %s", p.Name, p.Admin, response.Status, firstLine(content))
	}
	var s proxy.Status
	if err := json.Unmarshal(content, &s); err != nil {
		return none, fmt.Errorf("read status of proxy %s: %w", p.Name, err)
	}
	if s.Proxy != p.Name || s.Cluster != p.Cluster {
		return none, fmt.Errorf("%s is the admin listener of proxy %s of cluster %s, not of %s", p.Admin, s.Proxy, s.Cluster, p.Name)
	}
	return s, nil
}

// bare is what went wrong, without the URL that net/http puts before it.
func bare(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

func firstLine(content []byte) string {
	line, _, _ := strings.Cut(string(content[:min(len(content), 500)]), "\n")
	return strings.TrimSpace(line)
}
