package agent

import "math"

// Sample is what an agent publishes once per interval: event type "monitoring".
// Sizes are bytes, rates per second, usages percent, times seconds unless said.
// docs/agent.md has it field by field.
type Sample struct {
	V        int    `json:"v"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Agent    string `json:"agent"`
	Host     string `json:"host"`
	Zone     string `json:"zone,omitempty"`
	TS       int64  `json:"ts"`       // milliseconds since 1970
	Interval int64  `json:"interval"` // milliseconds

	// CPU is that of all cores, Disk that of the fullest mount that counts. Nil
	// means not known.
	CPU  *float64 `json:"cpu_usage,omitempty"`
	Mem  *float64 `json:"mem_usage,omitempty"`
	Disk *float64 `json:"disk_usage,omitempty"`

	Tags map[string]string `json:"tags,omitempty"`
	// Dropped is how many samples the outbox has lost since the start, Stale what
	// did not answer in time or failed: the values of it are its last ones.
	Dropped int64    `json:"dropped"`
	Stale   []string `json:"stale,omitempty"`

	Uptime int64     `json:"uptime,omitempty"`
	Cores  int       `json:"cores"`
	Times  *CPUTimes `json:"cpu,omitempty"`
	Load   *Load     `json:"load,omitempty"`
	Memory *Memory   `json:"memory,omitempty"`
	Swap   *Swap     `json:"swap,omitempty"`
	Disks  []Mount   `json:"disks,omitempty"`
	DiskIO []DiskIO  `json:"disk_io,omitempty"`
	Net    []Net     `json:"net,omitempty"`
	Redis  []Process `json:"redis,omitempty"`
}

// CPUTimes are shares of all CPU time of the interval, in percent.
type CPUTimes struct {
	User   float64 `json:"user"`
	System float64 `json:"system"`
	IOWait float64 `json:"iowait"`
	Steal  float64 `json:"steal"`
}

// Load is the load average.
type Load struct {
	One     float64 `json:"load1"`
	Five    float64 `json:"load5"`
	Fifteen float64 `json:"load15"`
}

// Memory is RAM. Available is what programs can get without swapping.
type Memory struct {
	Total     uint64 `json:"total"`
	Available uint64 `json:"available"`
	Free      uint64 `json:"free"`
	Cached    uint64 `json:"cached"`
	Buffers   uint64 `json:"buffers"`
}

// Swap is swap space.
type Swap struct {
	Total uint64  `json:"total"`
	Used  uint64  `json:"used"`
	Usage float64 `json:"usage"`
}

// Mount is a file system. Free is what users other than root can get, and Usage
// is Used of Used and Free, as df shows it.
type Mount struct {
	Mount  string  `json:"mount"`
	Device string  `json:"device"`
	FSType string  `json:"fstype"`
	Total  uint64  `json:"total"`
	Used   uint64  `json:"used"`
	Free   uint64  `json:"free"`
	Usage  float64 `json:"usage"`
	Inodes float64 `json:"inodes_usage"`
}

// DiskIO is the traffic of one disk. Busy is the share of time in which it worked
// on anything, in percent.
type DiskIO struct {
	Name   string  `json:"name"`
	Read   float64 `json:"read"`
	Write  float64 `json:"write"`
	Reads  float64 `json:"reads"`
	Writes float64 `json:"writes"`
	Busy   float64 `json:"busy"`
}

// Net is the traffic of one network interface.
type Net struct {
	Name      string  `json:"name"`
	Receive   float64 `json:"rx"`
	Send      float64 `json:"tx"`
	PacketsIn float64 `json:"rx_packets"`
	PacketsTo float64 `json:"tx_packets"`
	Errors    float64 `json:"errors"`
	Drops     float64 `json:"drops"`
}

// Process is a redis-server or a Sentinel that runs on the host. CPU is percent of
// one core, Since seconds since 1970.
type Process struct {
	PID      int32   `json:"pid"`
	Port     int     `json:"port,omitempty"`
	Sentinel bool    `json:"sentinel,omitempty"`
	RSS      uint64  `json:"rss"`
	CPU      float64 `json:"cpu"`
	Since    int64   `json:"since"`
}

// round keeps two decimals, which shortens samples. What is no finite number, as
// of a counter that went backwards and a time of 0, becomes 0: JSON has none.
func round(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	if math.Abs(x) > 1e12 { // no decimals are left to round
		return x
	}
	return math.Round(x*100) / 100
}

// percent is part of whole, from 0 to 100.
func percent(part, whole float64) float64 { return round(max(0, min(100, 100*part/whole))) }

// rate is how much a counter grew in each second; 0 when it began anew.
func rate(before, now uint64, seconds float64) float64 {
	if now < before {
		return 0
	}
	return round(float64(now-before) / seconds)
}
