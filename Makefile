# Every tool that a target needs is made by it, into .tools (LOCAL_TOOLS_DIR); see CONTRIBUTING.md.
export LOCAL_TOOLS_DIR ?= $(CURDIR)/.tools
LINTER := $(LOCAL_TOOLS_DIR)/golangci-lint-v2.15.0

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

local: ## deploy to an emulated AWS account on this machine, and invoke the function
	@go run -tags local . up

local-down: ## stop the emulator; the emulated account is gone with it
	@go run -tags local . down

test: lint docker ## everything that has to pass; what is skipped says why
	go test -race -timeout 40m ./...

judge: ## hold the verifier against readelf, auditwheel and real imports; renews internal/verifyjudge/results
	go run ./internal/verifyjudge wheels
	go run ./internal/verifyjudge sets
	go run ./internal/verifyjudge loads

bench: ## measure against uv and zip, and write docs/benchmarks.md
	go run ./internal/bench

docker: ## a Docker daemon that runs arm64, and the base image, where they can be had
	@tools/docker/daemon.sh && tools/docker/base-image.sh python3.11 arm64 && tools/docker/base-image.sh python3.11 x86_64 || echo "==> no Docker here: the tests of the docker builder are skipped"

lint: $(LINTER) ## gofmt, go vet and golangci-lint, also for the other systems
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(LINTER) run ./...
	for os in darwin windows; do GOOS=$$os go vet -tags local ./... || exit 1; done

$(LOCAL_TOOLS_DIR)/golangci-lint-%:
	@echo "==> building golangci-lint $* (once, about a minute)"
	@GOBIN=$(LOCAL_TOOLS_DIR)/partial go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*
	@mv $(LOCAL_TOOLS_DIR)/partial/golangci-lint $@

.PHONY: help local local-down test judge bench docker lint
