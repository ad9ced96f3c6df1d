#!/usr/bin/env bash
# Applies the worked example on this machine and says what to try next. Running
# it again changes nothing. `make demo-down` ends it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
spec=examples/lain.cue
state=.demo

scripts/setup.sh
make --no-print-directory -s build

rsm() {
	echo
	echo "\$ bin/rsm $*"
	bin/rsm "$@"
}

rsm apply --auto-approve --state-dir "$state" "$spec"
rsm status --state-dir "$state" "$spec"

# The commands below name the master of this moment. Sentinel knows it; where
# redis-cli is missing the reader finds the pid himself.
kill_master='kill -9 PID   # the pid of the master, see the status above'
if command -v redis-cli >/dev/null; then
	port=$(redis-cli -p 27379 sentinel get-master-addr-by-name lain | sed -n 2p)
	pid=$(redis-cli -p "$port" info server | tr -d '\r' | sed -n 's/^process_id://p')
	[ -z "$pid" ] || kill_master="kill -9 $pid"
fi

cat <<END

Three things to try:

1. Kill the master, see Sentinel elect another, and let rsm bring back the dead one as its replica:
     $kill_master
     bin/rsm status --state-dir $state $spec
     bin/rsm reconcile --state-dir $state $spec

2. Edit the spec. This changes a setting on all live servers, without a restart:
     sed -i 's/"64mb"/"96mb"/' $spec
     bin/rsm apply --state-dir $state $spec

3. Plan again: nothing to do, until something differs:
     bin/rsm plan --state-dir $state $spec

make demo-down stops it all.
END
