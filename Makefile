# Every target is a few lines; what needs more is in scripts/.

VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)

.PHONY: help setup build test lint demo demo-down bench bench-proxy bench-gitops bench-queue bench-agent bench-fanin chaos clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## install what is missing: redis-server, redis-sentinel, Go modules
	@scripts/setup.sh

build: ## build bin/rsm
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)' -o bin/rsm ./cmd/rsm

# Without this, every process with the race detector sleeps for a second at its end.
test: export GORACE = atexit_sleep_ms=0
test: ## run every test, with the race detector and on real servers
	@scripts/setup.sh race
	go test ./reconcile # nothing in it is concurrent: all its random states without the race detector, some with it
	go test -race ./reconcile -cases 400
	go test -race -timeout 25m $$(go list ./... | grep -v -e 'runtime/proxy$$' -e '^rsm/reconcile$$')
	go test -race -timeout 25m ./runtime/proxy # by itself: some of its tests measure time
	go -C bench test -timeout 2m ./...

lint: ## go vet, gofmt, staticcheck (pinned in scripts/lint.mod)
	@scripts/lint.sh

demo: ## run the example of the README on this machine
	@scripts/demo.sh

demo-down: ## stop what the demo started; asks before it removes data
	@scripts/demo-down.sh

bench: ## measure rsm beside ansible-playbook, and the proxy; rewrite docs/benchmarks.md
	@scripts/bench.sh

bench-proxy: ## measure the proxy beside HAProxy and nutcracker, rewrite its section
	@scripts/bench.sh proxy

bench-gitops: ## measure the service: from a push to the servers, at rest, with a large repository
	@scripts/bench.sh gitops

bench-queue: ## measure workers and tasks beside asynq
	@scripts/bench.sh queue

bench-agent: ## measure what an agent costs its host, beside node_exporter
	@scripts/bench.sh agent

bench-fanin: ## measure dispatchers under the events of 10,000 agents
	@scripts/bench.sh fanin

chaos: ## break all that is behind a proxy for ten minutes, under 200 clients; kill workers and masters under 100,000 tasks
	go test ./runtime/proxy -run '^TestChaos$$' -v -chaos 10m -seed 0 -timeout 40m
	go test ./runtime/worker -run '^TestChaos$$' -v -tasks 100000 -timeout 40m
	go test ./runtime/worker/alert -cases 2000 -timeout 40m

clean: ## remove what was built
	rm -rf bin
