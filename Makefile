# The commands of this repository. What they do is written in scripts/; `make` lists them.

PREFIX ?= /usr/local
DESTDIR ?=
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help demo check test build install uninstall lint bench fuzz clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

demo: ## build the example in docker/ twice: once for real, once to see that nothing is to do
	@scripts/demo.sh

check: ## format, lints, and the tests that need no engine and little time
	@scripts/check.sh

test: ## format, lints and all tests, on the machine's engine and on Docker 28 with both image stores
	@scripts/test.sh

build: ## the program, as it is released
	@scripts/build.sh

# LAYERS names a program that is there already; without it one is built.
LAYERS ?=
install: $(if $(LAYERS),,build) ## put program, manual pages and completions below PREFIX (/usr/local)
	@scripts/install.sh "$(or $(LAYERS),$(TARGET_DIR)/release/layers)" "$(PREFIX)" "$(DESTDIR)"

uninstall: ## remove what `make install` put there
	@scripts/uninstall.sh "$(PREFIX)" "$(DESTDIR)"

lint: ## format and lints only
	@scripts/lint.sh

bench: ## the measurements of benches/
	@scripts/bench.sh

fuzz: ## look for inputs that break the program, a minute for each part of it
	@scripts/fuzz.sh

clean: ## remove what was compiled, and what `layers` remembers of its runs
	@cargo clean
	@rm -rf .layers
