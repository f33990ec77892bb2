# Every tool that a target needs is made by it, into .tools; see CONTRIBUTING.md.
TOOLS    := $(CURDIR)/.tools
GOLANGCI := v2.15.0
export LOCAL_TOOLS_DIR ?= $(TOOLS)

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

local: ## deploy to an emulated AWS account on this machine, and invoke the function
	@go run -tags local . up

local-down: ## stop the emulator; the emulated account is gone with it
	@go run -tags local . down

test: lint ## everything that has to pass
	go test -race -timeout 30m ./...

lint: $(TOOLS)/golangci-lint-$(GOLANGCI) ## gofmt, vet and golangci-lint, also for the other systems
	test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(TOOLS)/golangci-lint-$(GOLANGCI) run ./...
	for os in darwin windows; do GOOS=$$os go vet -tags local ./... || exit 1; done

$(TOOLS)/golangci-lint-%:
	@echo "==> building golangci-lint $* (once, some minutes)"
	@GOBIN=$(abspath $(TOOLS))/partial go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*
	@mv $(TOOLS)/partial/golangci-lint $@

.PHONY: help local local-down test lint
