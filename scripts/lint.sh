#!/usr/bin/env bash
# Runs the linters over both modules. staticcheck is pinned in scripts/lint.mod,
# a file of its own, because a linter must not choose versions for rsm.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools=$PWD/scripts/lint.mod

unformatted=$(gofmt -l .)
if [ "$unformatted" ]; then
	printf 'lint: run gofmt -w on:\n%s\n' "$unformatted" >&2
	exit 1
fi
for script in scripts/*.sh .ci/run; do
	bash -n "$script"
done
for module in . bench; do
	(
		cd "$module"
		go vet ./...
		go tool -modfile="$tools" staticcheck ./...
	)
done
