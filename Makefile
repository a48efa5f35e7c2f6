# Needs python3 (3.11 or later), pip and make; everything else is set up on first use.

PYTHON ?= python3
AIRFLOW := 3.3.2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

export UV_COMPILE_BYTECODE := 1
export UV_PYTHON_DOWNLOADS := never
export PYTHONDONTWRITEBYTECODE :=
unexport VIRTUAL_ENV
# What is killed, and the lake of an example, stay where `make clean` finds them. tests/conftest.py says where the files of
# tests are.
export TMPDIR := $(CURDIR)/.tmp

.DEFAULT_GOAL := help
.PHONY: help venv demo ui test lint types tests compat soak models bench constraints dist docs tutorials translations diagrams charts pictures pins names registry clean

help: ## Show what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(READY) ## Set up the project's environment in .venv (Airflow $(AIRFLOW))

# Without pip, because Debian ships the venv module without it; the outer pip installs uv into the environment.
$(READY): pyproject.toml constraints/airflow-$(AIRFLOW).txt | .tmp
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv --without-pip $(VENV)
	test -x $(BIN)/uv || $(PYTHON) -m pip --python $(BIN)/python install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints/airflow-$(AIRFLOW).txt --editable . --all-extras --requirements pyproject.toml --group dev
	@touch $@

.tmp:
	mkdir -p .tmp

demo: $(READY) ## Load a simulated account into SQLite, in a real Airflow
	$(BIN)/python -m airflow_provider_wtschat.demo --home .demo

ui: $(READY) ## Bring up Airflow's UI with the example Dags (Ctrl-C ends it)
	$(BIN)/python -m scripts.ui

test: lint types tests compat ## Lint, types, all tests, and each release series of Airflow

lint: $(READY) ## Check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY) ## Check types: package, scripts, example Dags, tests, and the code of README and docs
	$(BIN)/mypy
	$(BIN)/mypy tests
	$(BIN)/python -m scripts.shown_code

# A file's tests run in one worker: what they share (a run of all operators, an account) is made once. Long files come
# early enough in the order in which they are found.
# Hundreds of tests meet real servers, threads and clocks: what fails beside others is asked once more, alone, and its
# first failure stays in the output. 1 is pytest's code for failed tests; anything else ends the run at once.
tests: $(READY) ## Run the tests on Airflow $(AIRFLOW)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not soak" || { test $$? = 1 && echo "Once more, what failed:" && \
		$(BIN)/python -m pytest -m "not soak" --last-failed --last-failed-no-failures none; }

compat: $(READY) ## Run the tests of each release series of Airflow
	$(BIN)/python -m scripts.compat $(SERIES)

soak: $(READY) ## Run the long proofs over many seeds
	$(BIN)/python -m pytest -n 2 --dist worksteal -m soak

# dbt in an environment of its own: its pins and Airflow's exclude each other.
models: $(READY) ## Build the dbt models on a load of a living account, and compare them with its books (SEEDS=5)
	test -x .venv-dbt/bin/python || $(PYTHON) -m venv --without-pip .venv-dbt
	$(BIN)/uv pip install --quiet --python .venv-dbt/bin/python --group dbt
	$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints/airflow-$(AIRFLOW).txt --requirements pyproject.toml --group cosmos
	WTSCHAT_SEEDS=$(or $(SEEDS),1) $(BIN)/python -m pytest -s -m soak tests/models tests/example_dags/test_models.py

bench: $(READY) ## Print the figures of tests/benchmarks
	$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints/airflow-$(AIRFLOW).txt --requirements pyproject.toml --group bench
	$(BIN)/python -m scripts.bench

constraints: $(READY) ## Install with Airflow's own constraint files, on every Python that is there
	$(BIN)/python -m scripts.constraints $(RELEASES)

dist: $(READY) ## Build what is published into dist/, and check it (TAG=v1.2.3: for a release)
	$(BIN)/python -m scripts.dist $(if $(TAG),--tag "$$TAG")

# In an environment of its own: it needs neither Airflow nor the package's dependencies.
DOCS := .venv-docs/.ready

$(DOCS): pyproject.toml | $(READY)
	test -x .venv-docs/bin/python || $(PYTHON) -m venv --without-pip .venv-docs
	$(BIN)/uv pip install --quiet --python .venv-docs/bin/python --group docs
	@touch $@

docs: $(DOCS) ## Build the site of the documentation into build/docs, and check it
	.venv-docs/bin/python -m scripts.docs

tutorials: $(READY) ## Do the tutorials, command by command, in environments of their own
	$(BIN)/python -m pytest -m soak tests/test_tutorials.py

translations: $(DOCS) ## Bring the texts to be translated in docs/locale up to date, and count what is left
	.venv-docs/bin/python -m scripts.translations

diagrams: $(READY) ## Draw the diagrams of the documentation that have changed (needs Chromium and npm)
	$(BIN)/python -m scripts.diagrams

charts: $(READY) $(DOCS) ## Draw the charts of the analyst's page from a simulated account
	$(BIN)/python -m scripts.charts

pictures: $(READY) ## Make the pictures of docs/images in a headless Chromium (NAMES="a b": only these)
	$(BIN)/uv pip install --quiet --python $(BIN)/python \
		--constraint constraints/airflow-$(AIRFLOW).txt --requirements pyproject.toml --group pictures
	$(BIN)/python -m scripts.pictures $(NAMES)

pins: $(READY) ## Add what is missing to constraints/*.txt (UPGRADE=--upgrade: renew them)
	$(BIN)/python -m scripts.pins $(UPGRADE)

names: $(READY) ## Write tests/public_names.json anew: decide what is public
	$(BIN)/python -m scripts.names

registry: $(READY) ## Write .airflow-registry.yaml anew
	$(BIN)/python -m scripts.registry

clean: ## Remove environments, caches, builds and what the demo left
	rm -rf $(VENV) .venv* .demo .ui .ui-pictures .tmp wtschat-demo docs/reference .cache .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist dbt_wtschat/target dbt_wtschat/logs *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.py[co]' -delete -o -name '*.mo' -delete
