#!/usr/bin/env bash
# Installs what the benchmarks compare with, builds rsm, measures, and rewrites
# docs/benchmarks.md.
#
#   bench.sh [flags]         rsm beside ansible-playbook, then the proxy
#   bench.sh proxy [flags]   the proxy beside HAProxy and nutcracker alone
#   bench.sh gitops [flags]  the service that follows a repository alone
#   bench.sh queue [flags]   workers and tasks beside asynq alone
#   bench.sh agent [flags]   an agent beside node_exporter alone
#   bench.sh fanin [flags]   dispatchers under the events of many agents alone
#
# Flags go to the first of them: see bench/main.go and bench/proxy/command.go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The services that these packages bring along listen nowhere as they come.
install_proxies() {
	local missing=() name
	for name in haproxy nutcracker; do
		command -v "$name" >/dev/null || [ -x "/usr/sbin/$name" ] || missing+=("$name")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || {
		echo "bench: missing here: ${missing[*]}; install them with this system's package manager" >&2
		exit 1
	}
	local root=()
	[ "$(id -u)" = 0 ] || root=(sudo)
	echo "bench: installing ${missing[*]}" >&2
	"${root[@]}" apt-get -q update >&2 || echo "bench: apt-get update had errors, trying the lists that are there" >&2
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" </dev/null >&2
}

bench_proxy() {
	PATH=$PATH:/usr/sbin bin/bench proxy -rsm bin/rsm -pinned -report docs/benchmarks.md "$@"
}

bench_gitops() { bin/bench gitops -rsm bin/rsm -report docs/benchmarks.md "$@"; }

bench_agent() {
	PATH=$PATH:/usr/sbin
	command -v prometheus-node-exporter >/dev/null ||
		echo "bench: prometheus-node-exporter is missing here, and its row in the table: apt-get install it" >&2
	bin/bench agent -rsm bin/rsm -report docs/benchmarks.md "$@"
}

bench_queue() { bin/bench queue -rsm bin/rsm -report docs/benchmarks.md "$@"; }

bench_fanin() { bin/bench fanin -rsm bin/rsm -report docs/benchmarks.md "$@"; }

part=${1:-}
case $part in
gitops | queue | agent | fanin) ;;
*)
	scripts/setup.sh ansible
	install_proxies
	;;
esac
make --no-print-directory -s build
go -C bench build -o ../bin/bench .
case $part in
proxy | gitops | queue | agent | fanin)
	shift
	"bench_$part" "$@"
	;;
*)
	bin/bench -rsm bin/rsm -ansible bench/ansible -report docs/benchmarks.md "$@"
	bench_proxy
	bench_gitops
	bench_queue
	bench_agent
	bench_fanin
	;;
esac
