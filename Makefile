# The first target that needs it makes .venv and installs into it.
# Needs Python 3.11 or newer, make and git; PYTHON=/path/to/python chooses another one.

PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow gpu lint format docs-tables clean

help:
	@echo 'make demo         adapt a small network in a toy world, from data to a table and a picture'
	@echo 'make test         run the tests'
	@echo 'make test-slow    run the slow ones: the wheel in an empty environment, longer trainings'
	@echo 'make gpu          measure steps, evaluation and search on a GPU, 9 minutes at a time'
	@echo 'make lint         check style, formatting and generated tables'
	@echo 'make format       apply style and formatting'
	@echo 'make docs-tables  write the tables of experiments into the pages'
	@echo 'make clean        remove .venv and caches; data/, pretrained/ and work_dirs/ stay'

install: $(READY)

$(READY): requirements.txt constraints.txt pyproject.toml setup.py
	@test -n '$(PYTHON)' || { echo 'error: Python 3.11 or newer was not found; make PYTHON=... names one' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/python run_experiments.py --exp 0

# Files of tests go to a process each; a process has one thread, or they would crowd each other out.
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
