#!/usr/bin/env bash
# Stops what `make demo` started. Data is removed only after a yes on a terminal.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
spec=examples/lain.cue
state=.demo

if [ ! -d "$state" ]; then
	echo "No demo here: there is no $state."
	exit
fi
[ -x bin/rsm ] || make --no-print-directory -s build

answer=n
if [ -t 0 ]; then
	read -r -p "Also remove the demo's data in $state? [y/N] " answer || answer=n
fi
case $answer in
[yY] | [yY][eE][sS])
	bin/rsm destroy --auto-approve --purge --state-dir "$state" "$spec"
	rm -rf "$state"
	;;
*)
	bin/rsm destroy --auto-approve --state-dir "$state" "$spec"
	echo "The data is kept in $state. To remove it: bin/rsm destroy --auto-approve --purge --state-dir $state $spec"
	;;
esac
