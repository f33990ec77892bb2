# Every tool that a target needs is made by it, into .tools (LOCAL_TOOLS_DIR); see CONTRIBUTING.md.
export LOCAL_TOOLS_DIR ?= $(CURDIR)/.tools
LINTER := $(LOCAL_TOOLS_DIR)/golangci-lint-v2.15.0

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

local: ## deploy to an emulated AWS account on this machine, and invoke the function
	@go run -tags local . up

local-down: ## stop the emulator; the emulated account is gone with it
	@go run -tags local . down

test: lint docker coverage ## everything that has to pass; what is skipped says why
	@$(MAKE) --no-print-directory -j 2 test-plain test-race

# What starts the engine or deflates takes up to four times as long under the race detector; `make race` has it for them, too.
SLOW_RACED := . ./bundle
test-plain:
	go test -timeout 40m $(SLOW_RACED)

test-race:
	go test -race -timeout 40m $$(go list ./... | grep -vxF "$$(go list $(SLOW_RACED))")

coverage: ## the component and the settings have to be covered above 90 % by their own tests
	go test -cover ./pythonfunction ./internal/stack | awk '{ print } /^ok/ && $$5 + 0 > 90 { enough++ } END { exit enough != 2 }'

race: docker ## those tests under the race detector that `make test` runs without it
	go test -race -timeout 40m $(SLOW_RACED)

judge: ## hold the verifier against readelf, auditwheel and real imports; renews internal/verifyjudge/results
	go run ./internal/verifyjudge wheels
	go run ./internal/verifyjudge sets
	go run ./internal/verifyjudge loads

bench: docker ## measure against uv + zip and every peer, and write docs/benchmarks.md (about 20 minutes)
	go run ./internal/bench

profile: ## profiles of cold builds of numpy, pandas and pyarrow, into dist/profile
	go run ./internal/bench -profile dist/profile

docker: ## a Docker daemon that runs arm64, and the base image, where they can be had
	@tools/docker/daemon.sh && tools/docker/base-image.sh python3.11 arm64 && tools/docker/base-image.sh python3.11 x86_64 || echo "==> no Docker here: the tests of the docker builder are skipped"

lint: $(LINTER) ## gofmt, go vet and golangci-lint, also for the other systems
	test -z "$$(gofmt -l *.go bundle cmd internal pythonfunction | tee /dev/stderr)"
	$(LINTER) run ./...
	for os in darwin windows; do GOOS=$$os go vet -tags local ./... || exit 1; done

lint-workflows: ## actionlint, zizmor and the pins of .github (a part of `make test`)
	go test -count=1 -run 'TestWorkflows|TestNoDeployment|TestActions|TestPins' ./cmd/ci

vulncheck: ## ask the Go vulnerability database about what the programs call
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

parity: ## both builders, the same bytes (needs Docker, and uv on PATH)
	go run ./cmd/bundle build -builder wheels -o dist/parity/bundle.zip
	go run ./cmd/bundle context dist/parity/context
	DOCKER_BUILDKIT=1 docker build --platform linux/arm64 --tag bundle-parity dist/parity/context
	go run ./cmd/bundle build -image bundle-parity -o dist/parity/docker.zip
	cmp dist/parity/bundle.zip dist/parity/docker.zip

same: ## are the bundles of several machines, in dist/parity/bundle-*, the same?
	sha256sum dist/parity/bundle-*/bundle.zip
	for zip in dist/parity/bundle-*/bundle.zip; do cmp "$$zip" "$$(ls dist/parity/bundle-*/bundle.zip | head -n 1)" || exit 1; done

release: ## cmd/bundle for five platforms, their SBOMs and checksums, in dist/release
	rm -rf dist/release && mkdir -p dist/release
	set -e; for p in linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64; do \
	  out=dist/release/bundle-$${p%/*}-$${p#*/}; if [ $$p = windows/amd64 ]; then out=$$out.exe; fi; \
	  CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} go build -trimpath -ldflags "-s -w" -o $$out ./cmd/bundle; \
	  go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0 bin -json -output $$out.cdx.json $$out; \
	done
	cd dist/release && sha256sum bundle-* > SHA256SUMS

$(LOCAL_TOOLS_DIR)/golangci-lint-%:
	@echo "==> building golangci-lint $* (once, about a minute)"
	@GOBIN=$(LOCAL_TOOLS_DIR)/partial go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$*
	@mv $(LOCAL_TOOLS_DIR)/partial/golangci-lint $@

.PHONY: help local local-down test test-plain test-race coverage race judge bench profile docker lint lint-workflows vulncheck parity same release
