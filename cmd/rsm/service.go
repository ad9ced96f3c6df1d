package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"rsm/internal/atomicfile"
	"rsm/schema"
)

func serviceCommand(con *console) *cli.Command {
	user := &cli.BoolFlag{Name: "user", Usage: "a service of this user instead of the machine"}
	return &cli.Command{
		Name:      "service",
		Usage:     "run rsm serve by systemd",
		ArgsUsage: "install | uninstall",
		Subcommands: []*cli.Command{{
			Name:  "install",
			Usage: "write a systemd unit for rsm serve",
			Description: "The unit restarts the service when it fails and does not end the servers with it. It is written anew\n" +
				"when it is as rsm wrote it; one of somebody else is left alone. What it says can be changed by\n" +
				"systemctl edit " + unitName + ".\n\n" + exitCodeHelp,
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "config", Usage: "what rsm serve reads", DefaultText: "/etc/rsm/service.cue, with --user ~/.config/rsm/service.cue"},
				user, &cli.BoolFlag{Name: "now", Usage: "start it, now and with the machine"},
				&cli.BoolFlag{Name: "dry-run", Usage: "only print the unit"}, stateDirFlag(),
			},
			Action: func(c *cli.Context) error {
				if c.NArg() > 0 {
					return usage("service install takes no arguments; give it --config FILE")
				}
				return installService(c, con)
			},
		}, {
			Name:        "uninstall",
			Usage:       "end the service and remove its unit; the servers keep running",
			Description: exitCodeHelp,
			Flags:       []cli.Flag{user},
			Action: func(c *cli.Context) error {
				if c.NArg() > 0 {
					return usage("service uninstall takes no arguments")
				}
				i, err := newInstaller(con, c.Bool("user"))
				if err != nil {
					return err
				}
				return i.uninstall()
			},
		}},
		Action: func(c *cli.Context) error { return usage("service needs install or uninstall") },
	}
}

func installService(c *cli.Context, con *console) error {
	u, err := newUnit(c)
	if err != nil {
		return err
	}
	text, err := u.text()
	if err != nil {
		return err
	}
	if c.Bool("dry-run") {
		_, err := fmt.Fprint(con.out, text)
		return err
	}
	_, problems := schema.LoadService(c.Context, u.Config)
	if len(problems) > 0 {
		_ = problems.WriteText(con.err, true)
	}
	if problems.Invalid() {
		return &exit{code: exitInvalid}
	}
	i, err := newInstaller(con, u.User)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(u.State, 0o700); err != nil { // systemd wants it to be there
		return fmt.Errorf("create state directory: %w", err)
	}
	return i.install(text, c.Bool("now"))
}

// newUnit finds the paths of the unit.
func newUnit(c *cli.Context) (u unit, err error) {
	u = unit{User: c.Bool("user"), Config: c.String("config"), State: c.String("state-dir")}
	if u.Binary, err = os.Executable(); err != nil {
		return u, fmt.Errorf("find rsm: %w", err)
	}
	switch {
	case u.Config != "":
	case !u.User:
		u.Config = "/etc/rsm/service.cue"
	default:
		dir, err := os.UserConfigDir()
		if err != nil {
			return u, fmt.Errorf("find configuration: %w (set --config)", err)
		}
		u.Config = filepath.Join(dir, "rsm", "service.cue")
	}
	if u.Config, err = filepath.Abs(u.Config); err != nil {
		return u, fmt.Errorf("find configuration: %w", err)
	}
	if u.State == "" && !u.User {
		u.State = "/var/lib/rsm" // whoever runs this: the service is root's
	}
	u.State, err = stateDir(u.State)
	return u, err
}

// installer puts a unit where systemd finds it.
type installer struct {
	con  *console
	path string
	user bool
	// running says that systemd runs here; systemctl asks it.
	running   bool
	systemctl func(args ...string) error
}

func newInstaller(con *console, user bool) (*installer, error) {
	dir := "/etc/systemd/system"
	if user {
		config, err := os.UserConfigDir()
		if err != nil {
			return nil, fmt.Errorf("find the units of the user: %w", err)
		}
		dir = filepath.Join(config, "systemd", "user")
	}
	_, err := os.Stat("/run/systemd/system") // sd_booted(3)
	i := &installer{con: con, path: filepath.Join(dir, unitName), user: user, running: err == nil}
	i.systemctl = func(args ...string) error {
		cmd := exec.Command("systemctl", i.words(args)...)
		cmd.Stdout, cmd.Stderr = con.err, con.err
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("systemctl %s: %w", args[0], err)
		}
		return nil
	}
	return i, nil
}

func (i *installer) words(args []string) []string {
	if i.user {
		return append([]string{"--user"}, args...)
	}
	return args
}

// install writes the unit, and starts it when asked to.
func (i *installer) install(text string, now bool) error {
	if now && !i.running {
		return refused("systemd does not run here: --now cannot start the service")
	}
	there, err := i.ours()
	if err != nil {
		return err
	}
	if there == text {
		fmt.Fprintf(i.con.out, "%s is as it should be.\n", i.path)
	} else {
		if err := replaceFile(i.path, text); err != nil {
			return err
		}
		fmt.Fprintf(i.con.out, "Wrote %s.\n", i.path)
	}
	if !now {
		flag := ""
		if i.user {
			flag = " --user"
		}
		fmt.Fprintf(i.con.out, "Start it, now and with the machine:\n  systemctl%s daemon-reload && systemctl%s enable --now %s\n", flag, flag, unitName)
	} else if err := i.start(there != text); err != nil {
		return err
	}
	if i.user {
		fmt.Fprintln(i.con.out, "A user's services, and the servers with them, end with his last session, unless: loginctl enable-linger")
	}
	return nil
}

// start starts the service, or starts it anew when its unit has changed.
func (i *installer) start(changed bool) error {
	verb := "start"
	if changed {
		verb = "restart"
	}
	for _, args := range [][]string{{"daemon-reload"}, {"enable", unitName}, {verb, unitName}} {
		if err := i.systemctl(args...); err != nil {
			return err
		}
	}
	fmt.Fprintf(i.con.out, "%s runs, and starts with the machine.\n", unitName)
	return nil
}

// ours returns the unit that is there, "" for none; one that rsm did not write is
// refused.
func (i *installer) ours() (string, error) {
	text, err := os.ReadFile(i.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read unit: %w", err)
	case !writtenByRSM(string(text)):
		return "", refused("%s is not as rsm service install wrote it: it is left alone; keep what you need by systemctl edit %s and remove it", i.path, unitName)
	}
	return string(text), nil
}

// uninstall ends the service and removes its unit.
func (i *installer) uninstall() error {
	there, err := i.ours()
	if err != nil {
		return err
	}
	if there == "" {
		fmt.Fprintf(i.con.out, "There is no %s.\n", i.path)
		return nil
	}
	if i.running {
		if err := i.systemctl("disable", "--now", unitName); err != nil {
			return err
		}
	}
	if err := os.Remove(i.path); err != nil {
		return fmt.Errorf("remove unit: %w", err)
	}
	fmt.Fprintf(i.con.out, "Removed %s. The servers keep running: rsm destroy ends them.\n", i.path)
	if i.running {
		return i.systemctl("daemon-reload")
	}
	return nil
}

// replaceFile writes a file as a whole.
func replaceFile(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write unit: %w", err)
	}
	if err := atomicfile.Write(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write unit: %w", err)
	}
	return nil
}
