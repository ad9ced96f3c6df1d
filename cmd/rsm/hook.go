package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"rsm/internal/atomicfile"
	"rsm/schema"
)

func hookCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:            "hook",
		Usage:           "let a bare repository tell the service of pushes",
		ArgsUsage:       "install | notify",
		HideHelpCommand: true,
		Subcommands:     []*cli.Command{hookInstallCommand(con), hookNotifyCommand(con)},
		Action:          func(*cli.Context) error { return usage("hook needs install or notify") },
	}
}

func hookFlags(branch string) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "url", Usage: "the webhook of the service: http://HOST:PORT/hook"},
		&cli.StringFlag{Name: "secret-file", Usage: "`FILE` with the secret of the webhook; whoever pushes must be able to read it"},
		&cli.StringFlag{Name: "branch", Value: branch, Usage: "tell only of pushes to this branch; empty tells of all"},
	}
}

// hookTarget is where to post, and with which secret.
type hookTarget struct{ url, secretFile, branch string }

// readHookTarget checks the flags of both commands.
func readHookTarget(c *cli.Context) (hookTarget, error) {
	t := hookTarget{url: c.String("url"), secretFile: c.String("secret-file"), branch: c.String("branch")}
	u, err := url.Parse(t.url)
	switch {
	case t.url == "" || t.secretFile == "":
		return t, usage("hook %s needs --url and --secret-file", c.Command.Name)
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return t, usage("--url must be like http://HOST:PORT/hook")
	case u.User != nil:
		return t, usage("--url must have no password: it would show in the list of processes")
	}
	t.secretFile, err = filepath.Abs(t.secretFile)
	return t, err
}

func (t hookTarget) secret() (string, error) { return schema.Secret{File: t.secretFile}.Read() }

func hookInstallCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "install",
		Usage:     "write the post-receive hook of a bare repository",
		ArgsUsage: "REPO.git",
		Description: "After each push the hook runs rsm hook notify in the background. It never delays a push, nor lets it\n" +
			"fail; what it said last is in rsm-hook.log of the repository. A hook of somebody else is left alone:\n" +
			"the lines to add are printed, and the exit code is 4.\n\n" + exitCodeHelp,
		Flags: hookFlags("main"),
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return usage("hook install needs one REPO.git")
			}
			target, err := readHookTarget(c)
			if err != nil {
				return err
			}
			return installHook(c.Context, con, c.Args().First(), target)
		},
	}
}

// hookMark is in every hook that rsm may write anew.
const hookMark = "# Written by rsm hook install, which may write it anew."

func installHook(ctx context.Context, con *console, repo string, target hookTarget) error {
	if _, err := target.secret(); err != nil {
		return err
	}
	dir, err := hooksOf(ctx, repo)
	if err != nil {
		return err
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find rsm: %w", err)
	}
	path, call := filepath.Join(dir, "post-receive"), hookCall(exe, target)
	script := "#!/bin/sh\n" + hookMark + "\nrefs=$(cat)\n" + call + "exit 0\n"
	old, err := os.ReadFile(path)
	info, _ := os.Lstat(path)
	switch {
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read hook: %w", err)
	case info != nil && (!info.Mode().IsRegular() || !bytes.Contains(old, []byte(hookMark))):
		fmt.Fprintf(con.out, "# What reads standard input must leave it to others, too:\nrefs=$(cat)\n%s", call)
		return refused("%s is not of rsm and stays as it is: add the lines above to it", path)
	case string(old) == script && info.Mode().Perm() == 0o755:
		fmt.Fprintf(con.out, "%s is there already.\n", path)
		return nil
	}
	if err := atomicfile.Write(path, []byte(script), 0o755); err != nil {
		return fmt.Errorf("write hook: %w", err)
	}
	fmt.Fprintf(con.out, "Wrote %s: pushes are told to %s\n", path, target.url)
	return nil
}

// hookCall is the part of a hook that tells of $refs. It lets go of all streams:
// git waits until they are closed.
func hookCall(exe string, t hookTarget) string {
	words := []string{exe, "hook", "notify", "--url", t.url, "--secret-file", t.secretFile, "--branch", t.branch}
	for i, word := range words {
		words[i] = "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
	}
	return "(\n\ttrap '' HUP\n\tprintf '%s\\n' \"$refs\" | " + strings.Join(words, " ") + "\n) </dev/null >\"${GIT_DIR:-.}/rsm-hook.log\" 2>&1 &\n"
}

// hooksOf finds the hooks of a bare repository.
func hooksOf(ctx context.Context, repo string) (string, error) {
	repo, err := filepath.Abs(repo)
	if err != nil {
		return "", err
	}
	out, err := exec.CommandContext(ctx, "git", "--git-dir="+repo, "rev-parse", "--is-bare-repository", "--git-path", "hooks").Output()
	var failed *exec.ExitError
	switch {
	case errors.As(err, &failed):
		return "", fmt.Errorf("look at %s: %s", repo, strings.TrimSpace(string(failed.Stderr)))
	case err != nil:
		return "", fmt.Errorf("look at %s: %w", repo, err)
	}
	bare, dir, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	switch own := filepath.Join(repo, "hooks"); {
	case bare != "true":
		return "", usage("%s is not a bare repository", repo)
	case dir != own:
		return "", refused("%s has its hooks in %s (core.hooksPath), maybe with others: nothing is written there", repo, dir)
	default:
		return own, os.MkdirAll(own, 0o755)
	}
}
