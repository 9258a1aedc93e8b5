# Everything a fresh clone needs: Python 3.11 or newer with its venv module, and GNU make.
#
#   make demo         the main job on this machine, about a minute after the first installation
#   make test         everything a change must pass: ruff, mypy, import rules, benches, tests, coverage of the core
#   make bench        only the ratios of speed and memory
#   make long         what takes minutes: 30 days of a ramp to 100,000 customers, rehearsed; whatever befalls two daemons
#   make faults       what takes most of an hour: real daemons killed again and again, and the table of what came of it
#   make constraints  pin the newest versions that pyproject.toml allows (needs the network; look at the difference)
#   make clean        remove the environment and every cache
#
# Another Python: make PYTHON=/usr/bin/python3.12 demo (after make clean).

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check --no-input

# The first of these that starts, is new enough, and can make environments. Looked up only when one is made.
CANDIDATES := python3.13 python3.12 python3.11 python3
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	$$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 \
	&& echo $$python && break; done)

# The --no-emit and --no-header options keep host names and paths of the machine out of the files.
COMPILE := pip-compile --quiet --upgrade --generate-hashes --no-emit-index-url --no-emit-find-links \
	--no-emit-trusted-host --no-header --strip-extras --build-deps-for=editable --build-deps-for=wheel

.PHONY: help demo test lint bench long faults constraints clean

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.installed
	@$(BIN)/dispatcher demo

# One worker more than there are processors: many tests wait, for daemons and their slots.
WORKERS := $(shell echo $$(( $$(nproc) + 1 )))

# The benches run by themselves: others beside them slow what they measure. The core's own tests have to reach every
# branch of it; to watch the others' branches too would only slow them.
test: lint bench
	$(BIN)/python -m pytest -n auto --cov --cov-report=term-missing:skip-covered tests/core
	$(BIN)/python -m pytest -m "not bench and not long" --durations 15 -n $(WORKERS) --dist worksteal --ignore tests/core tests

lint: $(VENV)/.installed-for-tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed-for-tests
	$(BIN)/python -m pytest -m "bench and not long" tests/bench

long: $(VENV)/.installed-for-tests
	$(BIN)/python -m pytest -s -m long tests

faults: $(VENV)/.installed-for-tests
	@$(BIN)/python tests/faults/long.py

constraints:
	python=$${PYTHON_OLDEST:-python3.11}; "$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "constraints are compiled with the oldest Python supported: set PYTHON_OLDEST to a Python 3.11" >&2; exit 1; }; \
	"$$python" -m venv --clear build/constraints
	build/constraints/bin/pip install --quiet --disable-pip-version-check pip-tools
	build/constraints/bin/$(COMPILE) -o deploy/constraints.txt pyproject.toml
	build/constraints/bin/$(COMPILE) --all-extras -c deploy/constraints.txt -o deploy/constraints-test.txt pyproject.toml
	rm -rf build/constraints

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache \
		.coverage build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.made:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer that can make virtual environments was found (looked for: $(CANDIDATES))." >&2; \
		echo "Install one, on Debian and Ubuntu with its venv package: apt install python3 python3-venv." >&2; \
		echo "If it has another name or place: make PYTHON=/path/to/python3" >&2; \
		exit 1; fi
	@$(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) cannot be used: it must be Python 3.11 or newer, with its venv package." >&2; exit 1; }
	@echo "Making $(VENV) with $$($(PYTHON) --version)"
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@touch $@

# `--no-build-isolation`: the build backend comes from the hash-checked constraints too, not from wherever pip finds one.
$(VENV)/.installed: $(VENV)/.made deploy/constraints.txt pyproject.toml
	@echo "Installing the dispatcher and what it needs into $(VENV) (half a minute, once)"
	@$(PIP) install --require-hashes -r deploy/constraints.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-for-tests: $(VENV)/.installed deploy/constraints-test.txt
	@echo "Installing the test tools into $(VENV) (once)"
	@$(PIP) install --require-hashes -r deploy/constraints-test.txt
	@touch $@
