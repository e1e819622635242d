# make demo | test | gpu | lint | format | clean. The first of them makes .venv and installs into it.
# Needs Python 3.11 or newer, make and git; PYTHON=/path/to/python chooses another one.

PYTHON ?= $(shell for python in python3.11 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)
BIN := .venv/bin
READY := .venv/ready

.DEFAULT_GOAL := help
.PHONY: help install demo test gpu lint format clean

help:
	@echo 'make demo    adapt a small network in a toy world, from data to a table and a picture'
	@echo 'make test    run the tests'
	@echo 'make gpu     measure steps, evaluation and search on a GPU, 9 minutes at a time'
	@echo 'make lint    check style and formatting'
	@echo 'make format  apply both'
	@echo 'make clean   remove .venv and caches; data/, pretrained/ and work_dirs/ stay'

install: $(READY)

$(READY): requirements.txt pyproject.toml setup.py
	@test -n '$(PYTHON)' || { echo 'error: Python 3.11 or newer was not found; make PYTHON=... names one' >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --editable '.[dev]'
	@touch $@

demo: $(READY)
	$(BIN)/python run_experiments.py --exp 0

# Files of tests go to a process each; a process has one thread, or they would crowd each other out.
test: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

gpu: $(READY)
	$(BIN)/python benchmarks/gpu.py --minutes 9

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .pytest_cache .ruff_cache build *.egg-info
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
