package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"rsm/reconcile/source"
	"rsm/schema"
)

// gitFlags are how a command is told to read its spec from git.
func gitFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "git", Usage: "read the spec from the repository at `URL`: https, ssh, or a path"},
		&cli.StringFlag{Name: "branch", Value: "main", Usage: "the branch, with --git"},
		&cli.StringFlag{Name: "path", Usage: "the `DIR` of the spec in the repository, with --git", DefaultText: "its root"},
		&cli.StringFlag{Name: "git-token-file", Usage: "`FILE` with the token for https; or the variable RSM_GIT_TOKEN"},
		&cli.StringFlag{Name: "git-user", Usage: "who the token belongs to", DefaultText: "git"},
		&cli.StringFlag{Name: "ssh-key", Usage: "private key `FILE` for ssh"},
		&cli.StringFlag{Name: "known-hosts", Usage: "`FILE` with the host keys that ssh may meet", DefaultText: "~/.ssh/known_hosts"},
		&cli.StringFlag{Name: "verify", Usage: "apply only signed commits: head, or range for all since the last one"},
		&cli.StringFlag{Name: "allowed-signers", Usage: "`FILE` with the SSH keys that may sign, as in ssh-keygen(1)"},
		&cli.StringSliceFlag{Name: "pgp-keyring", Usage: "`FILE` with armored PGP keys that may sign"},
		&cli.BoolFlag{Name: "fast-forward-only", Usage: "refuse a branch that was rewritten"},
	}
}

// envGitToken has the token when no file is named.
const envGitToken = "RSM_GIT_TOKEN"

// gitSource is what the flags say.
func gitSource(c *cli.Context) (schema.GitSource, error) {
	config := schema.GitSource{
		URL: c.String("git"), Branch: c.String("branch"), Path: c.String("path"), Interval: c.Duration("interval"),
		FastForwardOnly: c.Bool("fast-forward-only"),
		Auth:            schema.GitAuth{Username: c.String("git-user"), SSHKey: c.String("ssh-key"), KnownHosts: c.String("known-hosts")},
		Trust: schema.GitTrust{Mode: c.String("verify"), PGPKeyrings: c.StringSlice("pgp-keyring"),
			SSHAllowedSigners: c.String("allowed-signers")},
	}
	if _, err := os.Stat(config.URL); err == nil { // others look for it from elsewhere
		if config.URL, err = filepath.Abs(config.URL); err != nil {
			return config, fmt.Errorf("find repository: %w", err)
		}
	}
	switch config.Trust.Mode {
	case source.TrustNone, source.TrustHead, source.TrustRange:
	default:
		return config, usage("unknown --verify %q: head or range", config.Trust.Mode)
	}
	switch keys := config.Trust.SSHAllowedSigners != "" || len(config.Trust.PGPKeyrings) > 0; {
	case keys && config.Trust.Mode == source.TrustNone:
		return config, usage("keys alone verify nothing: add --verify head, or --verify range")
	case !keys && config.Trust.Mode != source.TrustNone:
		return config, usage("--verify %s needs keys: add --allowed-signers FILE or --pgp-keyring FILE", config.Trust.Mode)
	}
	switch file := c.String("git-token-file"); {
	case file != "":
		absolute, err := filepath.Abs(file)
		if err != nil {
			return config, fmt.Errorf("find token: %w", err)
		}
		config.Auth.Token = &schema.Secret{File: absolute}
	case os.Getenv(envGitToken) != "":
		config.Auth.Token = &schema.Secret{Env: envGitToken}
	}
	if home, err := os.UserHomeDir(); config.Auth.KnownHosts == "" && err == nil {
		config.Auth.KnownHosts = filepath.Join(home, ".ssh", "known_hosts")
	}
	return config, nil
}

// gitConfig is what a source reads from, with its cache in the state directory.
func gitConfig(of schema.GitSource, stateDir string) source.Config {
	return source.Config{
		URL: of.URL, Branch: of.Branch, Path: of.Path, FastForwardOnly: of.FastForwardOnly,
		Cache: cacheDir(stateDir, of.URL), Auth: source.Auth(of.Auth),
		Trust: source.Trust(of.Trust),
	}
}

// evaluateTree loads the spec of a commit in a child process.
func evaluateTree(ctx context.Context, tree schema.Tree) (*schema.Spec, schema.Problems) {
	exe, err := os.Executable()
	if err != nil {
		return nil, schema.Problems{{Code: schema.CodeCrash, Severity: schema.SeverityError,
			Message: fmt.Sprintf("cannot find the rsm binary to evaluate with: %v", err)}}
	}
	return schema.LoadTreeIsolated(ctx, []string{exe, evaluateName}, tree, schema.Limits{})
}

// specOf fetches the branch and loads its spec, once. What is wrong with the
// commit itself is a refusal.
func specOf(ctx context.Context, con *console, config source.Config) (*schema.Spec, source.Revision, error) {
	git, err := source.NewGit(config)
	if err != nil {
		return nil, source.Revision{}, err
	}
	defer git.Close()
	rev, err := git.Fetch(ctx, "")
	if refusedCommit(err) {
		return nil, rev, &exit{exitRefused, err}
	}
	if err != nil {
		return nil, rev, err
	}
	spec, err := loadTree(ctx, con, git, rev.Commit)
	return spec, rev, err
}

// specAt loads the spec of any commit of the branch, "" for the newest, to look at
// it: so it need not be one that may be applied.
func specAt(ctx context.Context, con *console, config source.Config, commit string) (*schema.Spec, source.Revision, error) {
	git, err := source.NewGit(config)
	if err != nil {
		return nil, source.Revision{}, err
	}
	defer git.Close()
	rev, err := git.Fetch(ctx, "")
	switch {
	case refusedCommit(err):
		fmt.Fprintf(con.err, "warning: %v\n", err)
	case err != nil:
		return nil, rev, err
	}
	if commit != "" {
		if rest, ok := strings.CutPrefix(commit, "HEAD"); ok {
			commit = rev.Commit + rest
		}
		full, err := git.Resolve(commit)
		if err != nil {
			return nil, rev, err
		}
		if rev, err = git.Revision(full); err != nil {
			return nil, rev, err
		}
	}
	spec, err := loadTree(ctx, con, git, rev.Commit)
	return spec, rev, err
}

// loadTree evaluates the spec of a commit and prints its problems.
func loadTree(ctx context.Context, con *console, git *source.Git, commit string) (*schema.Spec, error) {
	tree, err := git.Tree(commit)
	if err != nil {
		return nil, &exit{exitRefused, err}
	}
	spec, problems := evaluateTree(ctx, tree)
	if len(problems) > 0 {
		_ = problems.WriteText(con.err, true)
	}
	if problems.Invalid() {
		return nil, &exit{code: exitInvalid}
	}
	return spec, nil
}

// cacheDir is where a repository is kept, by a name that people recognize and that
// no other repository has.
func cacheDir(stateDir, url string) string {
	name := strings.TrimSuffix(filepath.Base(strings.TrimRight(url, "/")), ".git")
	name = strings.Map(func(r rune) rune {
		if strings.ContainsRune("/\\:@ ", r) {
			return '-'
		}
		return r
	}, name)
	sum := sha256.Sum256([]byte(url))
	return filepath.Join(stateDir, "git", name+"-"+hex.EncodeToString(sum[:4]))
}
