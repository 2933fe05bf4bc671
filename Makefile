# The door. make help tells what each target does.
BUILD := build
JOBS ?= $(shell nproc)

.PHONY: all help up down build setup test unit e2e check soak lint fmt bench fuzz asan tsan clang clean
all: build

help: ## what there is
	@grep -hE '^[a-z0-9]+:.*## ' Makefile | sed -E 's/^([a-z0-9]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup:
	@tools/setup build

build: setup ## the binary: build/fairlead (and build/istioctl, a link to it)
	@[ -f $(BUILD)/build.ninja ] || cmake --preset release
	@cmake --build $(BUILD) -j $(JOBS) --target fairlead

up: build ## the mesh with Bookinfo on this machine
	@tools/up

down: ## end what make up started
	@[ ! -x $(BUILD)/fairlead ] || $(BUILD)/fairlead down

test: build ## unit, component and end-to-end tests
	@tools/setup test
	@tools/test unit
	@tools/test e2e

unit: build ## unit and component tests alone
	@tools/setup test
	@tools/test unit

e2e: build ## end-to-end tests alone
	@tools/setup test
	@tools/test e2e

check: ## all that CI runs
	@.ci/run

soak: build ## chaos, floods and the walkthrough, SOAK_SECONDS (default 60) for each load, then every fuzzer for ten minutes
	@tools/setup test
	@tools/test soak
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-600} tools/test fuzz

asan: ## unit and component tests under AddressSanitizer and UBSan
	@tools/setup test
	@tools/test asan

tsan: ## unit and component tests under ThreadSanitizer
	@tools/setup test
	@tools/test tsan

clang: ## the whole tree with the second compiler
	@tools/setup test
	@tools/test clang

lint: ## clang-tidy over our own sources
	@tools/setup test
	@tools/test lint

fmt: ## clang-format in place
	@git ls-files 'src/*.cc' 'src/*.h' | xargs clang-format-19 -i

fuzz: ## every fuzz target for FUZZ_SECONDS (default 30)
	@tools/setup test
	@tools/test fuzz

bench: build ## figures beside nginx and HAProxy
	@tools/setup bench
	@bench/run

clean: ## remove what was built
	@rm -rf build build-debug build-asan build-tsan build-clang
