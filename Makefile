# make demo: the whole workflow on a simulated screen.   make test: the tests that take seconds each.
# make test-slow: those that take minutes (marker slow).   All make .venv first.
PYTHON ?= python3.11
CORES ?= 2
BIN := .venv/bin
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: demo test test-slow lint format clean

demo: .venv/ready
	$(BIN)/snakemake --profile profiles/local --cores $(CORES)

test: .venv/ready
	$(BIN)/python -m pytest -n $(CORES) -m "not slow"

test-slow: .venv/ready
	$(BIN)/python -m pytest -n $(CORES) -m slow

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/mypy
	$(BIN)/snakemake --lint

format: .venv/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow
	$(BIN)/python -m fatewalk.config.document
	$(BIN)/python -m fatewalk.run.document

# `ready` is touched last, so that an install cut short is done again.
.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev,slurm]"
	touch $@

clean:
	rm -rf .venv .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis
