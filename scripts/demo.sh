#!/usr/bin/env bash
# Applies the worked example on this machine and says what to try next. Running
# it again changes nothing. `make demo-down` ends it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
spec=examples/lain.cue
state=.demo

scripts/setup.sh
make --no-print-directory -s build

echo "\$ bin/rsm apply --auto-approve --state-dir $state $spec"
bin/rsm apply --auto-approve --state-dir "$state" "$spec"
echo
echo "\$ bin/rsm status --state-dir $state $spec"
status=$(bin/rsm status --state-dir "$state" "$spec")
echo "$status"

# The master of this moment: its row ends with its pid.
pid=$(awk '$3 == "master" { print $NF; exit }' <<<"$status")

cat <<END

Three things to try:

1. Kill the master, see Sentinel elect another, and let rsm bring back the dead one as its replica:
     kill -9 ${pid:-PID}
     bin/rsm status --state-dir $state $spec
     bin/rsm reconcile --state-dir $state $spec

2. Edit the spec. This changes a setting on all live servers, without a restart:
     sed -i 's/"64mb"/"96mb"/' $spec
     bin/rsm apply --state-dir $state $spec

3. Write through the proxy while the master dies: INCR waits for the next master, some seconds, and succeeds.
     kill -9 \$(redis-cli -p 8889 info server | tr -d '\r' | sed -n 's/^process_id://p')
     redis-cli -p 8889 incr counter
     bin/rsm reconcile --state-dir $state $spec
   With notice it takes a fifth of a second and nothing fails. Some seconds later, when Sentinel knows that all are well:
     bin/rsm failover --auto-approve --state-dir $state lain $spec

make demo-down stops it all.
END
