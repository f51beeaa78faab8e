# Needs Python 3.11 to 3.14, git and make; everything else goes into .venv from requirements.lock.
# `make help` lists the targets. Choose a Python with PYTHON=..., the number of test workers with WORKERS=...

SHELL   := /bin/sh
PYTHON  ?=
WORKERS ?= 2
ROWS    ?=
MINUTES ?= 30
NOTEBOOK ?=
UV      ?= uv
BIN     := .venv/bin
STAMP   := .venv/.stamp

.DEFAULT_GOAL := help
.PHONY: help setup demo lab app test test-fast lint format bench bench-live bench-sweep soak-live lock clean distclean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## create .venv from the lock (again only when lock or pyproject change)

$(STAMP): requirements.lock pyproject.toml
	@set -e; python=""; \
	for p in $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3 python3.14); do \
	    if "$$p" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' >/dev/null 2>&1; \
	    then python="$$p"; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "make: no Python 3.11 to 3.14 with the venv module found (python3 is: $$(python3 --version 2>&1 || true))." >&2; \
	    echo "make: install one (Debian, Ubuntu: apt install python3 python3-venv) or say make PYTHON=/path/to/python." >&2; \
	    exit 1; \
	fi; \
	if ! $(BIN)/python -c '' >/dev/null 2>&1; then \
	    echo "creating .venv with $$("$$python" --version)"; "$$python" -m venv --clear .venv; \
	fi
	@echo "installing the locked packages into .venv (a minute or two the first time)"
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## simulate a sample plant and execute the quickstart notebook; says where the results lie
	@$(BIN)/python -m twin.demo

lab: setup ## open the notebooks in JupyterLab
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/

app: setup ## serve the live dashboard as a page on 127.0.0.1 (NOTEBOOK=... serves another)
	@JUPYTER_PATH="$(CURDIR)/twin/live/page" $(BIN)/voila --template=plant $(if $(NOTEBOOK),$(NOTEBOOK),notebooks/02_live_plant.ipynb) --Voila.ip=127.0.0.1 --port=8866 --no-browser --show_tracebacks=True

test: setup lint ## lint, types, tests and notebooks (the longest first, so that both workers end together)
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --nbval-lax --nbval-current-env notebooks tests/test_invariants.py tests

test-fast: setup ## the quick tests only
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m fast tests

lint: setup ## ruff and mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: setup ## let ruff format and fix what it can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: setup ## measure throughput, size and start-up (make bench ROWS=20000000)
	@$(BIN)/twin bench $(if $(ROWS),--rows $(ROWS))

bench-live: setup ## measure the live notebook in a real browser (needs Chromium; about four minutes)
	@$(BIN)/python -m twin.bench_live --json

bench-sweep: setup ## measure a sweep beside bare papermill and one long simulation (about four minutes)
	@$(BIN)/python -m pipelines.bench

soak-live: setup ## watch the memory of kernel and page of a live session (make soak-live MINUTES=30)
	@$(BIN)/python -m twin.bench_live --json --soak $(MINUTES)

lock: ## make requirements.lock again from pyproject.toml (needs uv)
	@command -v $(UV) >/dev/null || { echo "make: uv not found; install it or say make lock UV=/path/to/uv" >&2; exit 1; }
	@$(UV) pip compile --quiet --universal --python-version 3.11 --extra dev --upgrade --no-header --no-annotate \
	    --generate-hashes pyproject.toml -o requirements.lock

clean: ## remove caches and build leftovers; data/ and .venv stay
	@rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find twin tests pipelines notebooks \( -name __pycache__ -o -name .ipynb_checkpoints \) -type d -prune -exec rm -rf {} +

distclean: clean ## clean, and remove .venv
	@rm -rf .venv
