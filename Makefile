# The only door: everything that a developer, a reviewer and CI run is a target here. `make` prints them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
JOBS ?= $(shell nproc)
CTEST_JOBS ?= $(shell nproc)
RELEASE := build/release

.PHONY: help setup build programs demo test check asan tsan fuzz lint fmt bench bench-serving install clean

##@ First
setup:     ## install what is missing: Debian packages, Node, the inference engines
	@scripts/setup.sh
build: setup ## compile everything (preset release) and derive the example models' variants
	@scripts/build.sh release
programs: setup ## the programs, plugins and example models alone, without tests and benches
	@scripts/build.sh release programs
demo: programs ## see the product work: two gateways, a controller, real models, in under two minutes
	@scripts/demo.sh

##@ Tests
test: build ## unit, integration and system tests, and the fuzz corpora
	@scripts/test.sh $(RELEASE) '^(unit|integration|system|fuzz-smoke)$$'
asan: setup ## the same without system tests, under GCC AddressSanitizer and UndefinedBehaviorSanitizer
	@scripts/build.sh asan
	@scripts/test.sh build/asan '^(unit|integration|fuzz-smoke)$$'
tsan: setup ## modules without gRPC under ThreadSanitizer (Debian's gRPC is not instrumented)
	@scripts/build.sh tsan
	@scripts/test.sh build/tsan '^unit$$'
fuzz: setup ## every libFuzzer target for FUZZ_SECONDS (30) each, by clang 14
	@scripts/build.sh fuzz fuzzers
	@scripts/fuzz.sh build/fuzz $${FUZZ_SECONDS:-30}
bench-serving: build ## answers' speed beside neighbours, under a quota, between principals
	@bench/serving/serving.sh $(RELEASE)/bin
bench: build ## the benches; what they measure is in docs/benchmarks.md
	@scripts/bench.sh $(RELEASE)

##@ Quality
lint: setup ## layers, co_await rule, file lengths, shell, format, docs, clang-tidy on changed files
	@scripts/lint.sh changed
check: test ## exactly what a reviewer runs: tests, lint with clang-tidy on every file, asan, tsan
	@scripts/lint.sh all
	@$(MAKE) --no-print-directory asan tsan
fmt:       ## clang-format every C++ file
	@git ls-files '*.cpp' '*.hpp' '*.h' | xargs -r -n 40 clang-format-14 -i

##@ Other
install: build ## cmake --install into DESTDIR/PREFIX (default /usr)
	@DESTDIR="$(DESTDIR)" cmake --install $(RELEASE) --prefix "$${PREFIX:-/usr}"
clean:     ## remove build output; keeps the fetched engines
	@find build -mindepth 1 -maxdepth 1 ! -name 'engines*' -exec rm -rf {} + 2>/dev/null || true

help:
	@awk 'BEGIN {FS = ":.*##"} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z]+:.*##/ {split($$1, t, ":"); printf "  make %-8s %s\n", t[1], $$2}' $(MAKEFILE_LIST)
