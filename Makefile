# Every command that people and CI use. `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
CARGO := $(shell command -v cargo)
KERNEL := .venv/$(if $(CARGO),.kernel,.without-kernel)
KERNEL_SOURCES := kernel/Cargo.toml kernel/Cargo.lock kernel/pyproject.toml $(shell find kernel/src -type f)
NODE := tests/e2e/node
# A file stays in one process, for what its tests share; tests/conftest.py puts those that take longest first.
SIDE_BY_SIDE = -n $(or $(PROCESSES),2) --dist loadfile --no-loadscope-reorder

# Roles and tests start Python again and again: what it has compiled is kept, whatever the environment says.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv lint format test test-services demo cluster bench docs clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(STAMP) $(KERNEL) ## make the virtual environment, where it is missing or pyproject.toml or the kernel has changed

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Onefold needs Python 3.11 or newer; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $(STAMP)

.venv/.kernel: $(STAMP) $(KERNEL_SOURCES)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check ./kernel || { $(BIN)/python -m pip uninstall --quiet --yes \
	  onefold-kernel; echo "The native kernel could not be built (rustup update may help); Python does its work."; }
	@touch $@

.venv/.without-kernel: $(STAMP)
	@echo "The native kernel is left out: there is no cargo (https://rustup.rs); Python does its work."
	@touch $@

lint: venv ## ruff, mypy, the import contracts, and where there is cargo rustfmt and clippy; runs all and then fails if one did
	@failed=0; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/ruff format --check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	$(BIN)/lint-imports || failed=1; \
	$(if $(CARGO),(cd kernel && cargo fmt --check && cargo clippy --quiet -- -D warnings) || failed=1;,) \
	exit $$failed

format: venv ## put the code into ruff's format, and mend what ruff can mend
	@$(BIN)/ruff check --fix-only --quiet . ; $(BIN)/ruff format .

test: venv ## all tests that need no server and no strace, in PROCESSES at once (2)
	@$(BIN)/pytest -m 'not services and not strace' $(SIDE_BY_SIDE) $(ARGS)

test-services: venv ## the others, as many at once: with servers, SDKs of Node, browsers, strace; installs them
	@tests/e2e/install.sh
	@$(BIN)/pytest -m 'services or strace' --no-skips $(SIDE_BY_SIDE) $(ARGS)

demo: venv ## the platform, a simulated shop and a webhook receiver, live, for FOR seconds (20)
	@$(BIN)/onefold demo --for $(or $(FOR),20)

cluster: venv ## Kafka, PostgreSQL and two of each role; parts are killed while a shop sends; FOR seconds (60)
	@tests/e2e/install.sh servers
	@$(BIN)/python -m onefold.testing.cluster.demo --for $(or $(FOR),60)

bench: venv ## measure what docs/performance.md claims
	@$(BIN)/onefold bench $(ARGS)

docs: venv ## write the generated pages anew: settings, commands
	@$(BIN)/python docs/generate.py

clean: ## remove everything that was made, also the virtual environment
	@rm -rf .venv kernel/target .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist $(NODE)/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
