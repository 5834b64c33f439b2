# Everything runs in .venv, which the first target that needs it creates. PYTHON chooses the interpreter.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TIMES := $(VENV)/.installed

.PHONY: demo test slow lint format numbers docs minimum clean

demo: $(TIMES)
	$(BIN)/mm-envs demo

test: $(TIMES)-dev
	$(BIN)/python -m pytest -n 2 --dist loadgroup

slow: $(TIMES)-dev
	$(BIN)/python -m pytest -m slow -n 2 --dist worksteal -p no:cacheprovider

lint: $(TIMES)-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(TIMES)-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Every number of docs/benchmarks/; finished cells in runs/ are kept. DATA is the folder of docs/datasets.md.
DATA ?= ../shared/data
numbers: $(TIMES)-dev
	$(BIN)/python -m benchmarks.experiments all --data $(DATA) --write

# The pages of docs/ that come from docstrings, with pictures of real episodes, and the site in build/site.
docs: $(TIMES)-dev
	$(BIN)/mm-envs docs --out docs
	$(BIN)/mkdocs build --strict

# The lowest versions that pyproject.toml names, in an environment of their own.
minimum:
	$(PYTHON) -m venv .venv-minimum
	.venv-minimum/bin/python -m pip install --quiet --upgrade pip
	.venv-minimum/bin/python benchmarks/experiments/minimum_versions.py > .venv-minimum/requirements.txt
	.venv-minimum/bin/python -m pip install --quiet -r .venv-minimum/requirements.txt -e ".[dev]"
	.venv-minimum/bin/python -m pytest -n 2

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(TIMES): pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e ".[all]"
	touch $@

$(TIMES)-dev: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet -e ".[dev,docs]"
	touch $@

clean:
	rm -rf $(VENV) .venv-minimum build *.egg-info .pytest_cache .mypy_cache .ruff_cache
