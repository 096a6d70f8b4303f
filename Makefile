# `make demo` and `make test` need nothing but a Python 3.11 or 3.12 with venv and pip.

VENV := .venv
BIN := $(VENV)/bin

# The first of these that runs and is a version we support. PYTHON=... chooses another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null && echo $$p && break; done)

# In an environment of its own, which it builds: a minute, and 300 MB.
test-installation: setup
	$(BIN)/python -m pytest -s -m slow

# With Ray, on clusters of several nodes on this machine.
test-cluster: setup
	$(BIN)/python -m pip install --quiet --no-deps -r requirements-cluster.txt
	$(BIN)/python -m pytest -s -m cluster

.PHONY: demo test test-installation test-cluster lint setup clean

demo: setup
	$(BIN)/python scripts/demo.py

# A process a core. Each begins with tests in a row, as neighbours share what is slow to set up.
test: setup lint
	$(BIN)/python -m pytest -n auto --dist worksteal

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup: $(VENV)/installed

# The stamp holds what was installed, so a changed list is installed and an unchanged one is not.
$(VENV)/installed: requirements.txt setup.py pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or 3.12 found; say PYTHON=/path/to/python" >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-deps -r requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
