package agent

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/shirou/gopsutil/v3/disk"

	"rsm/schema"
)

// A collector that hangs holds up one sample until the limit and no other, is not
// entered again, and its last values stay.
func TestHangingCollector(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	entered := make(chan struct{}, 100)
	var hang atomic.Bool
	m := &mounts{
		list: func() ([]disk.PartitionStat, error) {
			return []disk.PartitionStat{{Device: "/dev/sda1", Mountpoint: "/", Fstype: "ext4"}, {Device: "nas:/x", Mountpoint: "/mnt/nfs", Fstype: "nfs4"}}, nil
		},
		usage: func(path string) (*disk.UsageStat, error) {
			if path == "/" {
				return &disk.UsageStat{Path: path, UsedPercent: 40}, nil
			}
			entered <- struct{}{}
			if hang.Load() {
				<-release
			}
			return &disk.UsageStat{Path: path, UsedPercent: 90}, nil
		},
		choice: choice{only: []string{"/", "/mnt/nfs"}},
	}
	var heard []string
	c := collectors{limit: 100 * time.Millisecond, trouble: func(name, text string) { heard = append(heard, name+": "+text) }}
	if err := m.update(&c); err != nil {
		t.Fatal(err)
	}
	take := func() (Sample, time.Duration) {
		s, began := Sample{}, time.Now()
		c.fill(t.Context(), &s, began)
		return s, time.Since(began)
	}
	if s, _ := take(); len(s.Stale) > 0 || *s.Disk != 90 || len(s.Disks) != 2 {
		t.Errorf("sample %+v", s)
	}
	hang.Store(true)
	if s, took := take(); !slices.Equal(s.Stale, []string{"/mnt/nfs"}) || *s.Disk != 90 || took < c.limit {
		t.Errorf("after %s: %+v", took, s)
	}
	for range 5 {
		if s, took := take(); !slices.Equal(s.Stale, []string{"/mnt/nfs"}) || len(s.Disks) != 2 || took > c.limit/2 {
			t.Errorf("after %s: %+v", took, s)
		}
	}
	if len(entered) != 2 {
		t.Errorf("entered %d times, want twice", len(entered))
	}
	hang.Store(false)
	close(release)
	for deadline := time.Now().Add(5 * time.Second); ; {
		if s, _ := take(); len(s.Stale) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it stays stale")
		}
		time.Sleep(time.Millisecond)
	}
	if want := []string{"/mnt/nfs: no answer in time", "/mnt/nfs: "}; !slices.Equal(heard, want) {
		t.Errorf("heard %q, want %q", heard, want)
	}
}

func TestFailingCollector(t *testing.T) {
	t.Parallel()
	var list []collector
	list = append(list, collector{name: "broken", read: func() (put, error) { return nil, errors.New("no such file") }},
		collector{name: "crashing", read: func() (put, error) { panic("index out of range") }},
		collector{name: "good", read: func() (put, error) { return func(s *Sample) { s.Uptime = 7 }, nil }})
	var heard []string
	c := collectors{limit: time.Second, trouble: func(name, text string) { heard = append(heard, name+": "+text) }}
	for _, one := range list {
		c.add(one)
	}
	for range 3 { // told once
		s := Sample{}
		c.fill(t.Context(), &s, time.Now())
		if !slices.Equal(s.Stale, []string{"broken", "crashing"}) || s.Uptime != 7 {
			t.Errorf("sample %+v", s)
		}
	}
	if len(heard) != 2 || heard[0] != "broken: no such file" || !strings.HasPrefix(heard[1], "crashing: crashed: ") {
		t.Errorf("heard %q", heard)
	}
}

func TestSeldomCollector(t *testing.T) {
	t.Parallel()
	runs := 0
	c := collectors{limit: time.Second}
	c.add(collector{name: "seldom", every: time.Minute, read: func() (put, error) { runs++; return func(s *Sample) { s.Uptime = 1 }, nil }})
	now := time.Now()
	for i := range 121 {
		s := Sample{}
		c.fill(t.Context(), &s, now.Add(time.Duration(i)*time.Second))
		if s.Uptime != 1 {
			t.Fatalf("sample %d has no value", i)
		}
	}
	if runs != 3 {
		t.Errorf("%d runs in two minutes, want 3", runs)
	}
}

func TestPickMounts(t *testing.T) {
	t.Parallel()
	all := func() []disk.PartitionStat {
		return []disk.PartitionStat{
			{Device: "proc", Mountpoint: "/proc", Fstype: "proc"}, {Device: "/dev/sda1", Mountpoint: "/", Fstype: "ext4"},
			{Device: "/dev/sdb1", Mountpoint: "/var/lib/redis", Fstype: "xfs"}, {Device: "/dev/sdb1", Mountpoint: "/bind", Fstype: "xfs"},
			{Device: "nas:/x", Mountpoint: "/mnt/nfs", Fstype: "nfs4"}, {Device: "tank/a", Mountpoint: "/tank", Fstype: "zfs"},
			{Device: "tmpfs", Mountpoint: "/run", Fstype: "tmpfs"}, {Device: "/dev/loop1", Mountpoint: "/snap/a", Fstype: "squashfs"},
			{Device: "x", Mountpoint: "/home/u/remote", Fstype: "fuse.sshfs"},
		}
	}
	for name, c := range map[string]struct {
		choice
		want string
	}{
		"real ones":       {choice{}, "/ /bind /tank"},
		"ignored":         {choice{ignore: []string{"/bi*", "/tank"}}, "/ /var/lib/redis"},
		"declared":        {choice{only: []string{"/mnt/nfs", "/run"}}, "/run /mnt/nfs"},
		"same disk twice": {choice{only: []string{"/bind", "/var/lib/redis"}}, "/bind /var/lib/redis"},
	} {
		var got []string
		for _, m := range c.pick(all()) {
			got = append(got, m.Mountpoint)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", name, got, c.want)
		}
	}
}

func TestWholeDisks(t *testing.T) {
	t.Parallel()
	counters := map[string]disk.IOCountersStat{}
	for _, name := range []string{"sda", "sda1", "nvme0n1", "nvme0n1p2", "loop0", "ram1", "md0", "dm-0", "vda", "mmcblk0", "mmcblk0p1"} {
		counters[name] = disk.IOCountersStat{}
	}
	if got, want := strings.Join(wholeDisks(counters), " "), "dm-0 md0 mmcblk0 nvme0n1 sda vda"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// BenchmarkSample is all that one sample takes, but for Redis.
func BenchmarkSample(b *testing.B) {
	a := &Agent{Role: schema.AgentRole{Agent: schema.Agent{Name: "a", Host: "a", Interval: time.Second}}, Log: slog.New(slog.DiscardHandler)}
	a.prepare()
	b.ReportAllocs()
	for b.Loop() {
		a.take(b.Context(), time.Now())
	}
}
