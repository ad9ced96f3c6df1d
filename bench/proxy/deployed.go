package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// deployed is a cluster of three redis-servers and three Sentinels that rsm apply
// has started together with rsm's proxy; other proxies are before it, too.
type deployed struct{ *bed }

// deploy starts the cluster and the proxies. Whoever gets it calls remove.
func deploy(ctx context.Context, o options, dir string, proxies []string) (d deployed, err error) {
	b, err := makeBed(o, dir, -1, 3)
	if err != nil {
		return deployed{}, err
	}
	d = deployed{b}
	listen := 0
	if slices.Contains(proxies, rsm) {
		listen = b.ports.rsm
		b.targets = append(b.targets, target{name: rsm, addr: endpoint(listen)})
	}
	if err := os.WriteFile(d.spec(), []byte(spec(b.redis, b.sentinels, crashDownAfter, listen)), 0o600); err != nil {
		return deployed{}, fmt.Errorf("write spec: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.remove())
		}
	}()
	if err := d.repair(ctx); err != nil {
		return d, err
	}
	others := slices.DeleteFunc(slices.Clone(proxies), func(name string) bool { return name == rsm })
	return d, b.startTargets(ctx, others)
}

func (d deployed) spec() string { return filepath.Join(d.dir, "spec.cue") }

// rsm runs a command of rsm on the deployment.
func (d deployed) rsm(ctx context.Context, command string, flags ...string) error {
	argv := append([]string{command, "--state-dir", filepath.Join(d.dir, "state")}, flags...)
	cmd := exec.CommandContext(ctx, d.o.rsm, argv...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run rsm %s: %w\n%s", strings.Join(argv, " "), err, output.String())
	}
	return nil
}

// repair applies the spec until a plan finds nothing to do: it starts what is
// dead, and waits for replicas.
func (d deployed) repair(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		err := d.rsm(ctx, "apply", "--auto-approve", "--timeout", "30s", d.spec())
		if err == nil {
			err = d.rsm(ctx, "plan", "--detailed-exitcode", d.spec())
		}
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			select {
			case <-time.After(500 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		return fmt.Errorf("repair cluster: %w", err)
	}
}

// remove stops the proxies and the servers, also after an interrupt.
func (d deployed) remove() error {
	d.stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return d.rsm(ctx, "destroy", "--auto-approve", "--purge", d.spec())
}

// master is the address of the server that all Sentinels name and that says so
// itself.
func (d deployed) master() (string, error) {
	named := ""
	for _, port := range d.sentinels {
		reply, err := ask(endpoint(port), "SENTINEL", "get-master-addr-by-name", masterName)
		if err != nil {
			return "", fmt.Errorf("ask for the master: %w", err)
		}
		if len(reply) != 2 {
			return "", errors.New("ask for the master: a Sentinel does not know one")
		}
		addr := reply[0] + ":" + reply[1]
		if named != "" && named != addr {
			return "", errors.New("ask for the master: the Sentinels disagree")
		}
		named = addr
	}
	role, err := info(named, "replication", "role")
	if err == nil && role != "master" {
		err = fmt.Errorf("ask for the master: %s is a %s", named, role)
	}
	return named, err
}

// only is the master when no other server that answers takes itself for one:
// Sentinel may promote a second one soon after the first, and names it a second
// after clients have found it.
func (d deployed) only() (string, error) {
	master, err := d.master()
	if err != nil {
		return "", err
	}
	for _, port := range d.redis {
		addr := endpoint(port)
		if role, err := info(addr, "replication", "role"); addr != master && err == nil && role == "master" {
			return "", fmt.Errorf("ask for the master: %s and %s", master, addr)
		}
	}
	return master, nil
}

// whole reports, as an error that says what is missing, whether a master other
// than old has both replicas.
func (d deployed) whole(old string) (string, error) {
	master, err := d.master()
	if err != nil {
		return "", err
	}
	if master == old {
		return "", fmt.Errorf("%s is still the master", old)
	}
	for i := range 2 {
		replica, err := info(master, "replication", "slave"+strconv.Itoa(i))
		if err != nil {
			return "", err
		}
		if !strings.Contains(replica, "state=online") {
			return "", fmt.Errorf("replica %d of %s is not online: %q", i, master, replica)
		}
	}
	return master, nil
}

// healthy reports, as an error, whether every Sentinel takes both replicas for
// fit to be promoted. After a restart that takes it some seconds.
func (d deployed) healthy() error {
	for _, port := range d.sentinels {
		words, err := ask(endpoint(port), "SENTINEL", "REPLICAS", masterName)
		if err != nil {
			return fmt.Errorf("ask for replicas: %w", err)
		}
		fit := 0
		for i := 0; i+1 < len(words); i += 2 {
			switch words[i] + "=" + words[i+1] {
			case "flags=slave", "master-link-status=ok":
				fit++
			}
		}
		if fit != 4 {
			return fmt.Errorf("ask for replicas: the Sentinel at port %d does not trust both", port)
		}
	}
	return nil
}

// kill ends a server as a crash does.
func (d deployed) kill(addr string) error {
	id, err := info(addr, "server", "process_id")
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(id)
	if err != nil || n < 2 {
		return fmt.Errorf("kill %s: bad process id %q", addr, id)
	}
	return syscall.Kill(n, syscall.SIGKILL)
}

// info is one field of INFO, "" when there is none.
func info(addr, section, field string) (string, error) {
	reply, err := ask(addr, "INFO", section)
	if err != nil {
		return "", fmt.Errorf("read INFO of %s: %w", addr, err)
	}
	for line := range strings.Lines(reply[0]) {
		if value, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(value), nil
		}
	}
	return "", nil
}
