#!/usr/bin/env bash
# Installs what the benchmark compares with, builds rsm, measures, and rewrites
# docs/benchmarks.md. Arguments go to the benchmark: see bench/main.go.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

scripts/setup.sh ansible
make --no-print-directory -s build
go -C bench build -o ../bin/bench .
exec bin/bench -rsm bin/rsm -ansible bench/ansible -report docs/benchmarks.md "$@"
