# Targets that need Python packages first create .venv and install them there.
# Required: Python 3.11 or newer, make and git. PYTHON=/path/to/python selects the Python.

PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow gpu lint format docs-tables clean

help:
	@echo 'make demo         adapt a small network on toy data; writes a table and an image of results'
	@echo 'make test         run the tests'
	@echo 'make test-slow    run the slow tests: the wheel in an empty environment, longer trainings'
	@echo 'make gpu          benchmark steps, evaluation and search on a GPU, up to 9 minutes per call'
	@echo 'make lint         check style, formatting and generated tables'
	@echo 'make format       fix style and formatting'
	@echo 'make docs-tables  update the experiment tables in the pages'
	@echo 'make clean        remove .venv and caches; keep data/, pretrained/ and work_dirs/'

install: $(READY)

$(READY): requirements.txt constraints.txt pyproject.toml setup.py
	@test -n '$(PYTHON)' || { echo 'error: Python 3.11 or newer was not found; give its path: make PYTHON=...' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/python run_experiments.py --exp 0

# Each process runs one test file at a time, with one thread, so that the processes do not compete.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test: $(READY)
	$(PYTEST) -m 'not slow'

test-slow: $(READY)
	$(PYTEST) -m slow

gpu: $(READY)
	$(BIN)/python -m benchmarks.gpu --minutes 9

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m docs.tables --check

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs-tables: $(READY)
	$(BIN)/python -m docs.tables

clean:
	rm -rf .venv .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
