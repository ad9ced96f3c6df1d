package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/urfave/cli/v2"

	"rsm/runtime/controller/ledger"
)

func rollbackCommand(con *console) *cli.Command {
	return &cli.Command{
		Name:      "rollback",
		Usage:     "go back to the commit of an attempt until the branch moves on",
		ArgsUsage: "N | --off CLUSTER",
		Description: "Pins the cluster of attempt N, which rsm history lists, to the commit of it. The pin ends by itself\n" +
			"with the next commit that may be applied: git is where the deployment is decided, so revert there,\n" +
			"too; the command is printed. A commit that was never in force cannot be gone back to.\n\n" + exitCodeHelp,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "cluster", Usage: "this `NAME` instead of the cluster of the attempt"},
			&cli.BoolFlag{Name: "off", Usage: "remove the pin of CLUSTER"},
			&cli.BoolFlag{Name: "auto-approve", Usage: "do not ask"},
			stateDirFlag(),
		},
		Action: func(c *cli.Context) error {
			if !c.Bool("off") {
				return rollback(c, con)
			}
			if c.String("cluster") != "" {
				return usage("rollback --off takes the name of the CLUSTER as its argument")
			}
			name, err := oneCluster(c)
			if err != nil {
				return err
			}
			return unpin(c, con, name)
		},
	}
}

func rollback(c *cli.Context, con *console) error {
	l, err := openLedger(c)
	if err != nil {
		return err
	}
	a, err := attemptArg(c, l)
	if err != nil {
		return err
	}
	name := a.Cluster
	if other := c.String("cluster"); other != "" {
		name = other
	}
	control, err := l.Read()
	if err != nil {
		return err
	}
	if err := known(l, control, name); err != nil {
		return err
	}
	if err := returnable(l, a, name); err != nil {
		return err
	}
	if done, err := there(con, control, name, a); done || err != nil {
		return err
	}
	explainRollback(con, control, name, a)
	if !c.Bool("auto-approve") {
		if err := approveRollback(con, name); err != nil {
			return err
		}
	}
	return pin(con, l, name, a)
}

// returnable says why nothing can go back to an attempt.
func returnable(l *ledger.Ledger, a *ledger.Attempt, name string) error {
	if a.Result != ledger.Applied && a.Result != ledger.Held {
		return refused("attempt %d is %s: its commit was never in force", a.ID, a.Result)
	}
	spec, err := l.Spec(a.Tree)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return refused("the spec of attempt %d is kept no more; revert in git instead", a.ID)
	case err != nil:
		return err
	case spec.Cluster(name) == nil:
		return refused("commit %s declares no cluster %s", short(a.Commit), name)
	}
	return nil
}

// there reports whether the cluster is pinned so already, and refuses a pin to
// what it follows anyway.
func there(con *console, control *ledger.Control, name string, a *ledger.Attempt) (bool, error) {
	now := control.Clusters[name].Pin
	switch {
	case now != nil && now.Commit == a.Commit && now.Head == pinHead(control):
		fmt.Fprintf(con.out, "%s: pinned to commit %s by %s since %s, as before\n", name, short(now.Commit), plain(now.By), local(now.Since))
		return true, nil
	case a.Commit == control.Source.Accepted && now != nil:
		return false, refused("commit %s is the newest one: rsm rollback --off %s goes back to it", short(a.Commit), name)
	case a.Commit == control.Source.Accepted:
		return false, refused("commit %s is the newest one: there is nothing to go back from", short(a.Commit))
	}
	return false, nil
}

// pinHead is the commit that the branch must move on from to end a pin: the one
// that may be applied. What was refused after it is not followed anyway.
func pinHead(control *ledger.Control) string {
	if control.Source.Accepted != "" {
		return control.Source.Accepted
	}
	return control.Source.Head
}

func explainRollback(con *console, control *ledger.Control, name string, a *ledger.Attempt) {
	cluster := control.Clusters[name]
	fmt.Fprintf(con.out, "%s: back to commit %s  %s\n", name, short(a.Commit), cut(plain(a.Subject), 60))
	fmt.Fprintf(con.out, "  by %s, tried at %s, %s (attempt %d)\n", orDash(author(a.Author)), local(a.Started), a.Result, a.ID)
	if cluster.Applied != "" {
		fmt.Fprintf(con.out, "  in force now: commit %s\n", short(cluster.Applied))
	}
	if cluster.Suspended.Active(time.Now()) {
		fmt.Fprintf(con.out, "  nothing is done yet: it is %s\n", suspended(cluster.Suspended))
	}
}

func approveRollback(con *console, name string) error {
	if !con.interactive() {
		return refused("rollback would change %s and nobody can be asked: use --auto-approve", name)
	}
	yes, err := con.confirm("\nDo this? Only \"yes\" is accepted: ", "yes")
	if err == nil && !yes {
		return refused("not approved; nothing was done")
	}
	return err
}

// pin writes the rollback down and says what happens next.
func pin(con *console, l *ledger.Ledger, name string, a *ledger.Attempt) error {
	var source ledger.Source
	err := decide(con, l, name, func(control *ledger.Control, cluster *ledger.Cluster) (string, *ledger.Event) {
		source = control.Source
		by := whoami()
		cluster.Pin = &ledger.Pin{Commit: a.Commit, Tree: a.Tree, Head: pinHead(control), By: by, Since: time.Now().UTC()}
		if cluster.Failed != nil && cluster.Failed.Commit == a.Commit {
			cluster.Failed = nil // else it would not be tried
		}
		return fmt.Sprintf("pinned to commit %s until the branch moves on from %s", short(a.Commit), short(cluster.Pin.Head)),
			&ledger.Event{Level: "warning", Type: "pinned", Commit: a.Commit, Attempt: a.ID,
				Message: fmt.Sprintf("%s goes back to commit %s of attempt %d", by, short(a.Commit), a.ID)}
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(con.out, "rsm history %s shows what comes of it; rsm rollback --off %s undoes it.\n", name, name)
	if a.Commit != "" && source.Head != "" {
		fmt.Fprintf(con.out, "Make git say the same, in the repository:\n  git revert --no-edit %s..%s\n", short(a.Commit), short(source.Head))
	}
	return nil
}

// unpin ends a rollback.
func unpin(c *cli.Context, con *console, name string) error {
	l, err := openLedger(c)
	if err != nil {
		return err
	}
	return decide(con, l, name, func(control *ledger.Control, cluster *ledger.Cluster) (string, *ledger.Event) {
		before := cluster.Pin
		if before == nil {
			return "not pinned", nil
		}
		cluster.Pin = nil
		return fmt.Sprintf("no longer pinned to commit %s; it follows the branch, which has %s", short(before.Commit), short(pinHead(control))),
			&ledger.Event{Level: "info", Type: "unpinned", Commit: before.Commit, Message: "unpinned by " + whoami()}
	})
}
