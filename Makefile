# PYTHON makes the virtual environment: any of 3.11 to 3.13.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

# Parquet files of MNIST, for the benchmarks that need them.
MNIST ?=

.PHONY: demo test test-long lint docs bench format clean

demo: $(VENV)/installed
	$(BIN)/convergan train digits --labels 100 --out runs/demo $(if $(wildcard runs/demo/recipe.yaml),--resume)

# Make the tests independent of the locale; those about locales set their own.
test test-long: export PYTHONUTF8 := 1
# Many tests start processes, each of which would compile the package anew where no bytecode may be kept.
test test-long: export PYTHONDONTWRITEBYTECODE :=

# `make test-long` also runs what is marked as slow.
test: lint
	$(BIN)/python -m pytest -m "not slow"

test-long: lint
	$(BIN)/python -m pytest --timeout 3600

lint: $(VENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_words.py

# The site, with warnings as errors: build/docs/index.html. It needs no network.
docs: $(VENV)/installed-dev
	$(BIN)/python -m sphinx -E -W --keep-going -q -d build/doctrees docs build/docs

# Benchmarks of speed that take minutes; the command first prints which, and how long they take. docs/performance.md has
# the longer ones too. Tests compare that page with benchmarks/results, so results of another machine go elsewhere.
bench: export BENCHMARK_RESULTS := runs/benchmarks/results
bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/bench.py $(if $(MNIST),--mnist $(MNIST))

format: $(VENV)/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e .
	touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python -m pip install -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --no-deps --target $(VENV)/reference --upgrade torch-fidelity==0.4.0
	touch $(VENV)/installed $@
