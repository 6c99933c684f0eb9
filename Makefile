# Two commands do everything from a fresh clone: `make serve` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: serve test setup check format bench long s3tests clean

serve: $(VENV)/.runtime ## a store on ./data, with credentials made for it
	$(BIN)/pyrite serve ./data

test: setup check ## everything that CI runs
	$(BIN)/pytest -n 3 --dist loadgroup

setup: $(VENV)/.dev

check: setup ## format, lint, types, layers, tidy rules
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.tidy

format: setup
	$(BIN)/ruff format src tests bench
	$(BIN)/ruff check --fix src tests bench

bench: setup ## the performance table, beside SeaweedFS
	$(BIN)/python -m bench

long: setup ## the tests that take minutes: kills, fuzzing, real trees
	$(BIN)/pytest -m long

s3tests: setup ## Ceph's s3-tests: make s3tests S3T_RUN=.../run S3T_SRC=checkout S3T_PY=python-with-its-requirements
	$(BIN)/python -m tests.conformance.s3tests "$(S3T_RUN)" "$(S3T_SRC)" "$(S3T_PY)"

clean:
	rm -rf $(VENV) build dist src/*.egg-info

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(VENV)/bin/python requirements.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

$(VENV)/.dev: $(VENV)/bin/python requirements-dev.lock pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@ $(VENV)/.runtime
