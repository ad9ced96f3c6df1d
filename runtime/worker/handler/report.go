package handler

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"rsm/internal/atomicfile"
	"rsm/schema"
)

// Document is a report that is ready to be read.
type Document struct {
	Summary *Summary
	// HTML is a page that needs nothing else; Text says the same without charts.
	HTML, Text []byte
}

// MakeReport writes a report on the time of set.Window before until.
func MakeReport(ctx context.Context, set schema.Report, until time.Time, env Env) (Document, error) {
	env = env.withDefaults()
	if env.Samples == nil {
		return Document{}, permanent("report: there is no stream to read")
	}
	window := set.Window
	if window <= 0 {
		window = 24 * time.Hour
	}
	until = until.UTC().Truncate(time.Millisecond)
	f := newFleet(until.Add(-window), until)
	err := env.Samples.Read(ctx, f.from, until, func(at time.Time, event []byte) error {
		f.add(at, event)
		return ctx.Err()
	})
	if err != nil {
		return Document{}, fmt.Errorf("report: %w", err)
	}
	var facts *Facts
	if env.Facts != nil {
		known, err := env.Facts(ctx, f.from, until)
		if err != nil {
			return Document{}, fmt.Errorf("report: %w", err)
		}
		facts = &known
	}
	title, top := set.Title, set.Top
	if title == "" {
		title = "Fleet report"
	}
	if top <= 0 {
		top = 5
	}
	return render(f.summarize(title, env.Cluster, top, facts))
}

// render writes the page and the text of a summary.
func render(s *Summary) (d Document, err error) {
	d.Summary = s
	plain, err := builtin.ReadFile("templates/report.txt")
	if err == nil {
		s.Text, err = renderText("report.txt", string(plain), s)
	}
	var page []byte
	if err == nil {
		page, err = builtin.ReadFile("templates/report.html")
	}
	var html string
	if err == nil {
		html, err = renderHTML("report.html", string(page), s)
	}
	if err != nil {
		return d, fmt.Errorf("render report: %w", err)
	}
	d.HTML, d.Text = []byte(html), []byte(s.Text)
	return d, nil
}

// report writes a report to the spool and mails it. A second run of the task
// writes the same files, and its mail has the same Message-ID.
func (r *run) report(ctx context.Context, set *schema.Report) (string, error) {
	until := r.message.Time
	d, err := MakeReport(ctx, *set, until, r.Env)
	if err != nil {
		return "", err
	}
	said, err := r.store(d, until, set.Keep)
	if err != nil {
		return "", fmt.Errorf("store report: %w", err)
	}
	if set.Mail == "" {
		return said, nil
	}
	var h schema.Handler
	found := false
	if r.Handler != nil {
		h, found = r.Handler(set.Mail)
	}
	if !found || h.Email == nil {
		return said, permanent("%s, but handler %s, which is to mail it, is no email handler", said, set.Mail)
	}
	r.message.Kind, r.message.Report = Fleet, d.Summary
	name := until.UTC().Format(stamp) + "-" + fileName(r.handler.Name) + ".html"
	mailed, err := r.email(ctx, h.Email, h.Name, attachment{name, "text/html", d.HTML})
	return join2(said, mailed), err
}

// stamp is the time in the name of a report, so that names sort by time.
const stamp = "20060102T150405Z"

// store writes the files and removes those of older reports of this handler beyond
// keep. latest.html leads to the newest of all.
func (r *run) store(d Document, until time.Time, keep int) (string, error) {
	dir := filepath.Join(r.Spool, "reports")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	suffix := "-" + fileName(r.handler.Name)
	stem := until.UTC().Format(stamp) + suffix
	if err := atomicfile.Write(filepath.Join(dir, stem+".txt"), d.Text, 0o600); err != nil {
		return "", err
	}
	if err := atomicfile.Write(filepath.Join(dir, stem+".html"), d.HTML, 0o600); err != nil {
		return "", err
	}
	pages, err := reports(dir, suffix)
	if err != nil {
		return "", err
	}
	if keep > 0 && len(pages) > keep {
		for _, old := range pages[:len(pages)-keep] {
			old = filepath.Join(dir, old)
			if err := errors.Join(gone(os.Remove(old)), gone(os.Remove(strings.TrimSuffix(old, ".html")+".txt"))); err != nil {
				return "", err
			}
		}
	}
	all, err := reports(dir, "")
	if err == nil && len(all) > 0 {
		err = link(all[len(all)-1], filepath.Join(dir, "latest.html"))
	}
	return "written to " + filepath.Join(dir, stem+".html"), err
}

// reports are the names of the pages of one handler, or of all for "", the oldest
// first.
func reports(dir, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		name := entry.Name()
		if len(name) < len(stamp) || !strings.HasSuffix(name, ".html") {
			continue
		}
		if _, err := time.Parse(stamp, name[:len(stamp)]); err != nil {
			continue
		}
		if suffix == "" || name[len(stamp):] == suffix+".html" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// link replaces a symbolic link in one step.
func link(target, path string) error {
	temp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := gone(os.Remove(temp)); err != nil {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// gone is no error when there was nothing to remove.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
