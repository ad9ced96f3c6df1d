package agent

import (
	"runtime"
	"strings"
	"time"

	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/load"
	"github.com/shirou/gopsutil/v3/mem"
	"github.com/shirou/gopsutil/v3/net"
	"golang.org/x/sys/unix"
)

// host are the collectors of this machine, but for its mounts. Those that count
// since the last sample have been primed: the first sample has their rates.
func host(now func() time.Time) []collector {
	list := []collector{
		{name: "cpu", read: cpuTimes()},
		{name: "memory", read: memory},
		{name: "load", read: loads},
		{name: "disk_io", read: diskIO(now)},
		{name: "net", read: network(now)},
		{name: "redis", every: processEvery, read: processes(now)},
		{name: "uptime", every: time.Minute, read: uptime(now)},
	}
	return list
}

// cpuTimes compares the CPU time of all cores with that of the last call.
func cpuTimes() func() (put, error) {
	var before cpu.TimesStat
	read := func() (put, error) {
		all, err := cpu.Times(false)
		if err != nil || len(all) == 0 {
			return nil, err
		}
		now := all[0]
		last := before
		before = now
		// Guest time is part of user time, nice time is user time.
		total := func(t cpu.TimesStat) float64 {
			return t.User + t.Nice + t.System + t.Idle + t.Iowait + t.Irq + t.Softirq + t.Steal
		}
		whole := total(now) - total(last)
		if whole <= 0 { // asked twice within a clock tick
			whole = 1
		}
		usage := percent(whole-(now.Idle-last.Idle)-(now.Iowait-last.Iowait), whole)
		times := CPUTimes{
			User:   percent(now.User+now.Nice-last.User-last.Nice, whole),
			System: percent(now.System+now.Irq+now.Softirq-last.System-last.Irq-last.Softirq, whole),
			IOWait: percent(now.Iowait-last.Iowait, whole),
			Steal:  percent(now.Steal-last.Steal, whole),
		}
		return func(s *Sample) { s.CPU, s.Times, s.Cores = &usage, &times, runtime.NumCPU() }, nil
	}
	_, _ = read()
	return read
}

func memory() (put, error) {
	m, err := mem.VirtualMemory()
	if err != nil {
		return nil, err
	}
	usage := percent(float64(m.Total)-float64(m.Available), float64(m.Total))
	used := m.SwapTotal - min(m.SwapFree, m.SwapTotal)
	return func(s *Sample) {
		s.Mem = &usage
		s.Swap = &Swap{Total: m.SwapTotal, Used: used, Usage: percent(float64(used), float64(max(m.SwapTotal, 1)))}
		s.Memory = &Memory{Total: m.Total, Available: m.Available, Free: m.Free, Cached: m.Cached, Buffers: m.Buffers}
	}, nil
}

func loads() (put, error) {
	l, err := load.Avg()
	if err != nil {
		return nil, err
	}
	return func(s *Sample) { s.Load = &Load{round(l.Load1), round(l.Load5), round(l.Load15)} }, nil
}

// uptime keeps when the machine started.
func uptime(now func() time.Time) func() (put, error) {
	return func() (put, error) {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			return nil, err
		}
		boot := now().Add(-time.Duration(info.Uptime) * time.Second)
		return func(s *Sample) { s.Uptime = int64(time.UnixMilli(s.TS).Sub(boot).Seconds()) }, nil
	}
}

// diskIO compares the counters of whole disks with those of the last call.
func diskIO(now func() time.Time) func() (put, error) {
	var before map[string]disk.IOCountersStat
	var last time.Time
	read := func() (put, error) {
		counters, err := disk.IOCounters()
		if err != nil {
			return nil, err
		}
		at := now()
		seconds := at.Sub(last).Seconds()
		var list []DiskIO
		for _, name := range wholeDisks(counters) {
			a, known := before[name]
			b := counters[name]
			if !known {
				continue
			}
			list = append(list, DiskIO{
				Name: name,
				Read: rate(a.ReadBytes, b.ReadBytes, seconds), Write: rate(a.WriteBytes, b.WriteBytes, seconds),
				Reads: rate(a.ReadCount, b.ReadCount, seconds), Writes: rate(a.WriteCount, b.WriteCount, seconds),
				Busy: min(100, round(rate(a.IoTime, b.IoTime, seconds)/10)), // milliseconds in each second
			})
		}
		before, last = counters, at
		return func(s *Sample) { s.DiskIO = list }, nil
	}
	_, _ = read()
	return read
}

// wholeDisks leaves out partitions, RAM disks and loops, and sorts.
func wholeDisks(counters map[string]disk.IOCountersStat) []string {
	return sorted(counters, func(name string) bool {
		if strings.HasPrefix(name, "loop") || strings.HasPrefix(name, "ram") || strings.HasPrefix(name, "zram") {
			return false
		}
		// A partition is "sda1" of "sda", "nvme0n1p2" of "nvme0n1".
		base := strings.TrimRight(name, "0123456789")
		_, of := counters[base]
		_, ofP := counters[strings.TrimSuffix(base, "p")]
		return base == name || !of && !(ofP && strings.HasSuffix(base, "p"))
	})
}

// network compares the counters of interfaces with those of the last call.
func network(now func() time.Time) func() (put, error) {
	var before map[string]net.IOCountersStat
	var last time.Time
	read := func() (put, error) {
		all, err := net.IOCounters(true)
		if err != nil {
			return nil, err
		}
		at := now()
		seconds := at.Sub(last).Seconds()
		counters := make(map[string]net.IOCountersStat, len(all))
		for _, c := range all {
			counters[c.Name] = c
		}
		var list []Net
		for _, name := range sorted(counters, realInterface) {
			a, known := before[name]
			b := counters[name]
			if !known {
				continue
			}
			list = append(list, Net{
				Name:    name,
				Receive: rate(a.BytesRecv, b.BytesRecv, seconds), Send: rate(a.BytesSent, b.BytesSent, seconds),
				PacketsIn: rate(a.PacketsRecv, b.PacketsRecv, seconds), PacketsTo: rate(a.PacketsSent, b.PacketsSent, seconds),
				Errors: rate(a.Errin+a.Errout, b.Errin+b.Errout, seconds), Drops: rate(a.Dropin+a.Dropout, b.Dropin+b.Dropout, seconds),
			})
		}
		before, last = counters, at
		return func(s *Sample) { s.Net = list }, nil
	}
	_, _ = read()
	return read
}

// realInterface leaves out the host's own loop, the ends of containers' cables,
// and queues that look like interfaces.
func realInterface(name string) bool {
	return name != "lo" && !strings.HasPrefix(name, "veth") && !strings.HasPrefix(name, "cali") && !strings.HasPrefix(name, "ifb")
}
