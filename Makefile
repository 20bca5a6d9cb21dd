# Everything a contributor runs. `make` alone says what there is.
SHELL := /bin/bash -o pipefail
.DEFAULT_GOAL := help
export PATH := $(CURDIR)/.tools:$(PATH)

# What `make test` gives to go test, and `make mutants` to scripts/mutants.
ARGS ?=
# How long `make fuzz` runs each fuzz test.
FUZZTIME ?= 10s

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-17s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build the programs into ./bin
	@mkdir -p bin
	go build -o bin/ ./cmd/...

.PHONY: test
test: ## run all tests, on real servers; ARGS='-run Name ./internal/pipeline' for some
	@scripts/install-tools
	go vet ./...
	go test -race -p 4 -timeout 9m $(or $(ARGS),./...)
	$(if $(ARGS),,$(MAKE) --no-print-directory --output-sync=target -j2 test-faults test-rest)

# What is too much for the race detector, and what has modules of its own, side by side.
.PHONY: test-faults test-rest
test-faults:
	go test -timeout 5m -run '^(TestFaults|TestPairsOfFaults|TestLargeFile|TestS3AnyRequestFails)$$' ./internal/pipeline ./internal/storage
test-rest:
	go test -timeout 5m ./internal/pace/... ./internal/records
	go test -C test -timeout 5m ./deploy/ ./network/
	go test -C test/bench -timeout 5m .

.PHONY: torture
torture: ## kill, freeze and cut off everything while 500 jobs run; HOURGLASS_TORTURE_JOBS and _TIME, HOURGLASS_SEED
	@scripts/install-tools
	go test -tags torture -count=1 -timeout 30m -v -run '^TestTorture$$' ./internal/e2e

.PHONY: failover
failover: ## kill the primary of a Redis with sentinels, and nodes of a cluster, in the middle of 40 jobs; HOURGLASS_FAILOVER_JOBS
	@scripts/install-tools
	go test -tags torture -count=1 -timeout 30m -v -run '^TestFailover$$' ./internal/e2e

.PHONY: browser
browser: ## look at the demo's dashboard and pages and at the dashboards of the compose file in a real Chromium; HOURGLASS_SCREENSHOTS=folder keeps pictures
	@scripts/install-tools
	@scripts/install-tools browser
	go test -C test -count=1 -timeout 5m ./browser/
	HOURGLASS_BROWSER=yes go test -C test -count=1 -timeout 5m -run '^TestBrowser$$' ./deploy/

.PHONY: check
check: gofmt vet lint tidy generated ## everything but the tests: format, vet, lint, go.mod, generated files

.PHONY: gofmt
gofmt: ## are all files formatted?
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "run gofmt -w on:" $$unformatted; exit 1; }

.PHONY: vet
vet: ## go vet
	go vet ./...
	go vet -C test ./...
	go vet -C test/bench ./...

.PHONY: lint
lint: ## golangci-lint, which also holds the map of who may import whom (.golangci.yml)
	@scripts/install-tools lint
	golangci-lint run
	cd test && golangci-lint run -c ../.golangci.yml
	cd test/bench && golangci-lint run -c ../../.golangci.yml

.PHONY: tidy
tidy: ## do the go.mod files list what is used?
	go mod tidy -diff
	go mod -C test tidy -diff
	go mod -C test/bench tidy -diff

.PHONY: generated
generated: ## are generated files fresh?
	scripts/check-generated

.PHONY: fuzz
fuzz: ## run every fuzz test for FUZZTIME (10s)
	scripts/fuzz $(FUZZTIME)

.PHONY: bench
bench: ## run the benchmarks; docs/benchmarks.md says what they mean
	@scripts/install-tools
	go test -run '^$$' -bench . -benchtime 10000x -count 3 ./cmd/enqueue

.PHONY: bench-batch
bench-batch: build ## measure enqueue batch against bare Asynq tasks, and break it off half-way, for two minutes; ARGS='-jobs 10000 -runs 1' for a try
	@scripts/install-tools
	go run -C test/bench ./batch -bin $(CURDIR)/bin $(ARGS)

.PHONY: bench-copy
bench-copy: ## measure the copy against other programs, for a quarter of an hour; ARGS='-large 64 -files 50 -runs 1' for a try
	@scripts/install-tools
	@scripts/install-tools peers
	go run -C test/bench . -versitygw $(CURDIR)/.tools/versitygw -peers $(CURDIR)/.tools/peers $(ARGS)

.PHONY: bench-poll
bench-poll: build ## measure what polls cost, in a simulation and against the fake, for ten minutes; ARGS='-bin "" -plot ""' for the simulation alone
	@scripts/install-tools
	go run -C test/bench ./poll -bin $(CURDIR)/bin -plot $(CURDIR)/docs/polling.svg $(ARGS)

.PHONY: bench-serve
bench-serve: build ## measure status reads over HTTP beside a bare handler, by wrk, for a minute
	@scripts/install-tools
	@command -v wrk >/dev/null || { echo "install wrk for this: apt-get install wrk"; exit 1; }
	go run -C test/bench ./http -bin $(CURDIR)/bin $(ARGS)

.PHONY: mutants
mutants: ## break each law on purpose and demand that a test notices; ARGS='name ...' for some
	@scripts/install-tools
	@scripts/mutants $(ARGS)

.PHONY: test-noservers
test-noservers: ## do tests fail in CI, rather than skip, when the servers are missing?
	scripts/ci-skip-check

.PHONY: tools
tools: ## build and install what the tests and checks need
	scripts/install-tools
	scripts/install-tools lint
