# The commands of this repository. `make` lists them; scripts/ contains them.

PREFIX ?= /usr/local
DESTDIR ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help demo check test build install uninstall lint bench fuzz clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

demo: ## build the example in docker/ twice; the second time, it is up to date
	@scripts/demo.sh

check: ## check formatting and lints, and run the fast tests, which need no engine
	@scripts/check.sh

test: ## check formatting and lints, and run all tests, on this machine's engine and on Docker 28
	@scripts/test.sh

build: ## compile the program for release
	@scripts/build.sh

# LAYERS is the path of a compiled program. Without it, `install` builds one.
LAYERS ?=
install: $(if $(LAYERS),,build) ## install the program, manual pages, and completions below PREFIX (/usr/local)
	@scripts/install.sh "$(or $(LAYERS),$(TARGET_DIR)/release/layers)" "$(PREFIX)" "$(DESTDIR)"

uninstall: ## remove what `make install` installed
	@scripts/uninstall.sh "$(PREFIX)" "$(DESTDIR)"

lint: ## check formatting and lints
	@scripts/lint.sh

bench: ## run the benchmarks in benches/
	@scripts/bench.sh

fuzz: ## fuzz the parsers, one minute per target
	@scripts/fuzz.sh

clean: ## remove compiled files and the state directory of `layers`
	@cargo clean
	@rm -rf .layers
