package agent

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/shirou/gopsutil/v3/disk"
)

// sorted are the keys that are wanted.
func sorted[V any](m map[string]V, wanted func(string) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(key string) bool { return !wanted(key) })
}

// choice says which mount points count.
type choice struct{ only, ignore []string }

// remote and pseudo file systems are no disks of the host. Asking the first may
// take for ever.
var noDisks = []string{"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "glusterfs", "9p", "virtiofs", "afs", "davfs",
	"proc", "sysfs", "devtmpfs", "devpts", "tmpfs", "ramfs", "cgroup", "cgroup2", "squashfs", "iso9660", "autofs",
	"debugfs", "tracefs", "securityfs", "pstore", "bpf", "mqueue", "hugetlbfs", "configfs", "fusectl", "binfmt_misc", "rpc_pipefs", "nsfs", "efivarfs"}

// pick returns the mounts that count, each device once, by its shortest path.
func (c choice) pick(mounts []disk.PartitionStat) []disk.PartitionStat {
	slices.SortFunc(mounts, func(a, b disk.PartitionStat) int {
		return cmp.Or(cmp.Compare(len(a.Mountpoint), len(b.Mountpoint)), cmp.Compare(a.Mountpoint, b.Mountpoint))
	})
	seen := map[string]bool{}
	return slices.DeleteFunc(mounts, func(m disk.PartitionStat) bool {
		if matches(c.ignore, m.Mountpoint) || !c.wants(m) {
			return true
		}
		device := m.Device
		if len(c.only) > 0 || !strings.HasPrefix(device, "/") { // zfs, overlay: no device to share
			device = m.Mountpoint
		}
		double := seen[device]
		seen[device] = true
		return double
	})
}

func (c choice) wants(m disk.PartitionStat) bool {
	if len(c.only) > 0 {
		return slices.Contains(c.only, m.Mountpoint)
	}
	if m.Mountpoint == "/" {
		return true
	}
	if slices.Contains(noDisks, m.Fstype) || strings.HasPrefix(m.Fstype, "fuse.") {
		return false
	}
	return strings.HasPrefix(m.Device, "/dev/") || m.Fstype == "zfs"
}

// matches reports whether a path is in a list, whose entries may end in "*".
func matches(list []string, name string) bool {
	return slices.ContainsFunc(list, func(pattern string) bool {
		prefix, open := strings.CutSuffix(pattern, "*")
		return name == pattern || open && strings.HasPrefix(name, prefix)
	})
}

// mounts finds the mounts that count, and gives each a collector of its own: each
// may hang alone. The list of mounts is read from memory, and never hangs.
type mounts struct {
	choice
	list  func() ([]disk.PartitionStat, error)
	usage func(path string) (*disk.UsageStat, error)
}

func hostMounts(c choice) *mounts {
	return &mounts{choice: c,
		list:  func() ([]disk.PartitionStat, error) { return disk.Partitions(true) },
		usage: disk.Usage,
	}
}

// update makes the collectors fit the mounts that there are.
func (m *mounts) update(c *collectors) error {
	all, err := m.list()
	if err != nil {
		return fmt.Errorf("list mounts: %w", err)
	}
	wanted := map[string]bool{}
	for _, mount := range m.pick(all) {
		wanted[mount.Mountpoint] = true
		if !c.has(mount.Mountpoint) {
			c.add(collector{name: mount.Mountpoint, read: m.reader(mount)})
		}
	}
	// What is not a path is no mount.
	c.keep(func(name string) bool { return !path.IsAbs(name) || wanted[name] })
	return nil
}

func (m *mounts) reader(mount disk.PartitionStat) func() (put, error) {
	return func() (put, error) {
		u, err := m.usage(mount.Mountpoint)
		if err != nil {
			return nil, err
		}
		one := Mount{
			Mount: mount.Mountpoint, Device: mount.Device, FSType: mount.Fstype,
			Total: u.Total, Used: u.Used, Free: u.Free, Usage: round(u.UsedPercent), Inodes: round(u.InodesUsedPercent),
		}
		return func(s *Sample) {
			s.Disks = append(s.Disks, one)
			if s.Disk == nil || one.Usage > *s.Disk {
				s.Disk = &one.Usage
			}
		}, nil
	}
}
