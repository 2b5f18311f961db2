# make demo    the main job, on the bundled model: no download of weights, no accelerator
# make test    every test that needs no accelerator; what needs PostgreSQL or Redis says so and is skipped without
# make check   format, lint, types, import rules, shape, quick tests: under two minutes on two cores
# make bench   the numbers the documents quote, against the peers that are installed
# make peers   installs the peers (builds llama.cpp: some minutes)
# make mutants the tests against defects planted on purpose: none may survive (some minutes)
# make tiny-models   random-weight models of every family, and one of none, below .cache/tiny
# make gpu     on a machine with CUDA: the tests that need it, then its numbers
#
# PYTHON picks the interpreter (3.11 or newer) that makes .venv; an existing .venv is used as it is. JOBS: how many test
# processes `make test` runs side by side.

PYTHON ?= python3
VENV ?= .venv
# Test processes side by side, each with one thread of arithmetic; some load models of a gigabyte.
JOBS ?= 2
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
STAMPS := $(VENV)/.stamps
# Tests that load models, or import what does; `make check` leaves them to `make test`, so that it ends within two minutes.
MODELS := tests/acceptance tests/cli/vector tests/docs tests/engine tests/gpu tests/interp tests/promises/inside \
	tests/reference tests/training tests/benchmarks/test_scripts.py tests/laws/test_activations.py \
	tests/laws/test_calls.py tests/laws/test_render.py tests/cli/test_acts.py tests/cli/test_drift.py \
	tests/cli/test_engine_refusals.py tests/tooling/test_tiny_models.py \
	tests/serve/wire/test_rendered.py \
	$(wildcard tests/cli/test_lens*.py tests/promises/test_*.py)

.DEFAULT_GOAL := help
.PHONY: help demo test check bench peers mutants tiny-models gpu format schemas clean

help:
	@sed -n '1,/^$$/s/^# \{0,1\}//p' Makefile

demo: $(STAMPS)/engine
	$(BIN)/symposia demo

test: $(STAMPS)/dev $(STAMPS)/openai2
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not gpu and not network"

# Compiled tests are kept for the next process and the next run, also where the environment says otherwise.
test check: export PYTHONDONTWRITEBYTECODE =

check: $(STAMPS)/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=src $(BIN)/lint-imports --no-logo
	$(BIN)/python tools/shape.py
	HYPOTHESIS_PROFILE=quick $(BIN)/python -m pytest -q -n auto --dist worksteal -m "not slow and not services and not gpu and not network" \
		$(addprefix --ignore=,$(MODELS))

bench: $(STAMPS)/dev
	@for file in text_column templates tiny_abilities table; do \
		echo "== benchmarks/$$file.py"; $(BIN)/python benchmarks/$$file.py; done

peers: $(STAMPS)/bench $(STAMPS)/interlens $(STAMPS)/openai_420 $(STAMPS)/litellm

mutants: $(STAMPS)/dev
	PYTHONPATH=src $(BIN)/python -m tools.mutants

tiny-models: $(STAMPS)/dev
	PYTHONPATH=src $(BIN)/python -m tools.tiny_models

gpu: $(STAMPS)/dev
	$(BIN)/python -m pytest -q tests/gpu tests/engine/test_writers.py tests/engine/test_paged_attention.py
	$(BIN)/python benchmarks/gpu.py

format: $(STAMPS)/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

schemas: $(STAMPS)/dev
	$(BIN)/python -m tools.schemas
	$(BIN)/python -m tools.openapi

# Stamps: reinstalled only when the requirements change.
$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Symposia needs Python 3.11 or newer; set PYTHON")'
	$(PYTHON) -m venv $(VENV)

$(STAMPS)/engine: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[engine,serve]'
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[all,dev]'
	@mkdir -p $(STAMPS) && touch $(STAMPS)/engine $@

$(STAMPS)/bench: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) --editable '.[all,dev,bench]'
	@mkdir -p $(STAMPS) && touch $(STAMPS)/engine $(STAMPS)/dev $@

# interlens wants transformers 4, so it has an environment of its own.
$(STAMPS)/interlens: benchmarks/peers/interlens.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/interlens
	$(VENV)/interlens/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	@mkdir -p $(STAMPS) && touch $@

# The older generation of the SDK, which our server must serve too, in an environment of its own.
$(STAMPS)/openai2: tests/clients/openai2.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/openai2
	$(VENV)/openai2/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/openai_420: benchmarks/peers/openai_420.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/openai_420
	$(VENV)/openai_420/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/litellm: benchmarks/peers/litellm.txt | $(BIN)/python
	$(BIN)/python -m venv $(VENV)/litellm
	$(VENV)/litellm/bin/python -m pip install --disable-pip-version-check --quiet --requirement $<
	@mkdir -p $(STAMPS) && touch $@

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
