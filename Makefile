# make demo: a first run. make test: required for every change. `make` alone lists the targets.

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
BENCH_STAMP := $(VENV)/.installed-bench
EXTRAS_STAMP := $(VENV)/.installed-extras
COMPAT := .venv-compat
COMPAT_STAMP := $(COMPAT)/.installed
TORCH ?= torch==2.13.0
QUIETLY := -m pip install --quiet --disable-pip-version-check
SIZE ?= A
KILLS ?= 60
MINUTES ?= 20
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	"$$name" -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$name"; break; }; done)
# Each worker starts with tests that stand together, so that a compiled kernel or a shared world is made by one worker.
TESTS = $(BIN)/python -m pytest -n auto --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help demo test test-extras browser trust compat check format bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## all steps on a year of shopping, into demo-output/ (replaced by each run)
	@rm -rf demo-output
	@$(BIN)/scalr demo --out demo-output

test: check ## set up once, then check format, lint, types, fast tests and doctests

test-extras: $(EXTRAS_STAMP) ## all tests, including slow ones, with all optional dependencies
	@echo "== all tests, slow ones included"
	@$(TESTS)

browser: ## headless Chromium for the tests of the report; Debian, as root
	@command -v chromium >/dev/null || { apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium >/dev/null; }

trust: $(STAMP) ## kills, repeats, soak (MINUTES=20) and hostile input, see docs/reliability.md; prints figures
	@$(BIN)/python -m pytest -q -m trust --kills $(KILLS) --soak-minutes $(MINUTES) tests

compat: $(COMPAT_STAMP) ## libraries that need an older NumPy or pandas, each with a small run; requires Java 17
	@$(COMPAT)/bin/python tests/compat/check_libraries.py 2>$(COMPAT)/stderr.log || { tail -40 $(COMPAT)/stderr.log >&2; exit 1; }

check: $(STAMP) ## the same as test
	@echo "== format"
	@$(BIN)/ruff format --check .
	@echo "== lint"
	@$(BIN)/ruff check .
	@echo "== types"
	@$(BIN)/mypy
	@echo "== tests and doctests"
	@$(TESTS) -m "not slow"

format: $(STAMP) ## format the code and apply automatic fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(BENCH_STAMP) ## time `scalr generate` against five ways without scalr; SIZE=A (minutes), B, C or H
	@$(BIN)/python -m benchmarks.run --size $(SIZE)

clean: ## remove the outputs of all targets, and the environment
	rm -rf $(VENV) $(COMPAT) demo-output benchmark-output build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@if [ -z "$(PYTHON)" ]; then \
		echo "error: no Python 3.11 or newer was found" >&2; \
		echo "  expected: python3.11 or a newer python3 (with its venv module) on the PATH" >&2; \
		echo "  fix: install it, or name it: make PYTHON=/path/to/python3" >&2; exit 2; fi
	@if [ ! -x $(BIN)/python ]; then \
		echo "== setting up $(VENV) with $$($(PYTHON) --version) (once)"; \
		$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }; fi
	@echo "== installing scalr and its dependencies into $(VENV) (once; 1.3 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,report,dev]'
	@touch $@

$(BENCH_STAMP): $(STAMP)
	@echo "== installing what the benchmarks compare with (once; 0.6 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

$(EXTRAS_STAMP): $(BENCH_STAMP)
	@echo "== installing the other libraries that tests use (once; 0.8 GB with a CPU build of torch)"
	@$(BIN)/python $(QUIETLY) $(TORCH) -e '.[torch,models,adapters,spark,privacy]'
	@touch $@

$(COMPAT_STAMP): pyproject.toml
	@echo "== installing RecTools, LensKit, RePlay, RecBole and LightFM into $(COMPAT) (once; 2.8 GB)"
	@test -x $(COMPAT)/bin/python || $(PYTHON) -m venv $(COMPAT) || { rm -rf $(COMPAT); exit 1; }
	@$(COMPAT)/bin/python $(QUIETLY) -e . $(TORCH) rectools lenskit 'replay-rec[spark]' recbole 'setuptools<81' wheel cython
	@$(COMPAT)/bin/python $(QUIETLY) --no-use-pep517 --no-build-isolation --no-deps lightfm || \
		echo "LightFM cannot be built here; all other libraries are installed"
	@touch $@
