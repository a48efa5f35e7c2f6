# Needs python3 (3.11 or later), pip and make; everything else is set up on first use.

PYTHON ?= python3
AIRFLOW := 3.3.2
PYTEST := -m pytest -n 2 --dist worksteal
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never
export PYTHONDONTWRITEBYTECODE :=
unexport VIRTUAL_ENV

.DEFAULT_GOAL := help
.PHONY: help venv demo ui test lint types tests compat soak bench pins clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(READY) ## Set up the project's environment in .venv (Airflow $(AIRFLOW))

# Without pip, because Debian ships the venv module without it; the outer pip installs uv into the environment.
$(READY): pyproject.toml constraints/airflow-$(AIRFLOW).txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	test -x $(BIN)/uv || $(PYTHON) -m pip --python $(BIN)/python install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints/airflow-$(AIRFLOW).txt --editable . --all-extras --requirements pyproject.toml --group dev
	@touch $@

demo: $(READY) ## Copy sessions from a simulated account into SQLite, in a real Airflow
	$(BIN)/python -m scripts.demo

ui: $(READY) ## Bring up Airflow's UI with the example Dags (Ctrl-C ends it)
	$(BIN)/python -m scripts.ui

test: lint types tests compat ## Lint, types, all tests, and the older Airflow lines

lint: $(READY) ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Check types
	$(BIN)/mypy

tests: $(READY) ## Run the tests on Airflow $(AIRFLOW)
	$(BIN)/python $(PYTEST) -m "not soak"

compat: $(READY) ## Run the tests of the older Airflow lines
	$(BIN)/python -m scripts.compat

soak: $(READY) ## Run the long proofs over many seeds
	$(BIN)/python $(PYTEST) -m soak

bench: $(READY) ## Print the figures of tests/benchmarks
	$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints/airflow-$(AIRFLOW).txt --requirements pyproject.toml --group bench
	$(BIN)/python -m scripts.bench

pins: $(READY) ## Add what is missing to constraints/*.txt (UPGRADE=--upgrade: renew them)
	set -e; for line in $(patsubst constraints/airflow-%.in,%,$(wildcard constraints/*.in)); do \
		$(BIN)/uv pip compile --quiet $(UPGRADE) --universal --python-version 3.11 --no-header --no-annotate \
			--all-extras --group $$([ $$line = $(AIRFLOW) ] && echo bench || echo dev) \
			--constraint constraints/airflow-$$line.in --output-file constraints/airflow-$$line.txt pyproject.toml; \
	done

clean: ## Remove environments, caches and what the demo left
	rm -rf $(VENV) .venvs .demo .ui .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
