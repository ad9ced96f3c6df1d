#!/usr/bin/env bash
# Records the session of README.md anew: runs the demo for real, in a network
# namespace and a state directory of its own, writes docs/img/session.svg and
# replaces the text between the marks in README.md. Needs unshare, ip, redis-cli.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
repo=$PWD

if [ "${1:-}" != inside ]; then
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	mkdir "$work/bin" "$work/examples"
	go build -o "$work/bin/rsm" ./cmd/rsm
	cp examples/lain.cue "$work/examples"
	unshare -rn bash -c 'ip link set lo up && exec "$0" inside "$1"' "$repo/docs/img/record.sh" "$work"
	cat "$work/plan" <(echo) "$work/reconcile" <(echo) "$work/status" | go run docs/img/terminal.go >docs/img/session.svg
	{
		echo '```console'
		echo '$ make demo'
		sed 1d "$work/apply" | awk '/Plan:/ { cut = 0 } !cut { print } !seen && /s1: start sentinel/ { print "  …"; cut = seen = 1 }'
		for part in before kill waits plan reconcile status failover edit; do
			echo
			cat "$work/$part"
		done
		echo '```'
	} | sed 's/\x1b\[[0-9;]*m//g; s/[[:space:]]*$//' >"$work/session"
	awk -v session="$work/session" '
		/^<!-- session ends -->/ { skip = 0 }
		!skip { print }
		/^<!-- session begins/ { while ((getline line <session) > 0) print line; skip = 1 }
	' README.md >"$work/README.md"
	cat "$work/README.md" >README.md
	exit
fi

cd "$2"
export CLICOLOR_FORCE=1
at=(--state-dir .demo examples/lain.cue)

# record writes a command and all that it prints to the file of that name.
record() {
	local file=$1
	shift
	{
		printf '\033[1m$ %s\033[0m\n' "$*"
		"$@" 2>&1
	} >"$file"
}

trap 'bin/rsm destroy --auto-approve --purge "${at[@]}" >/dev/null 2>&1' EXIT
record apply bin/rsm apply --auto-approve "${at[@]}"
record before bin/rsm status "${at[@]}"
redis-cli -p 17379 set greeting hello >/dev/null
record kill kill -9 "$(redis-cli -p 17379 info server | tr -d '\r' | sed -n 's/^process_id://p')"
while redis-cli -p 17379 ping >/dev/null 2>&1; do :; done
{
	printf '\033[1m$ time redis-cli -p 8889 set greeting again\033[0m  # through the proxy, in a second terminal\n'
	TIMEFORMAT='(%1R s)'
	time redis-cli -p 8889 set greeting again
} >waits 2>&1 &
record plan bin/rsm plan "${at[@]}"
record reconcile bin/rsm reconcile "${at[@]}"
wait $!
record status bin/rsm status "${at[@]}"
until record failover bin/rsm failover --auto-approve --state-dir .demo lain examples/lain.cue; do
	sleep 0.5 # a Sentinel has to see that the old master is well again
done
sed -i 's/"64mb"/"96mb"/' examples/lain.cue
record edit bin/rsm plan -v "${at[@]}"
