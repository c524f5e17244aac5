# Two commands do all the set-up: `make demo` shows the library at work, `make test` runs every test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
SOURCES := pyproject.toml README.md $(shell find pipeline middleware adapters providers -name '*.py' -o -name py.typed)

.PHONY: demo test check lint types coverage dist clean

# The library and its command line, as a user would install them.
$(VENV)/.demo: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	rm -rf build
	$(BIN)/python -m pip install --quiet '.[cli]'
	@touch $@

# The same and what the tests need. Tests run against the installed package, not against the tree.
$(VENV)/.test: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	rm -rf build
	$(BIN)/python -m pip install --quiet '.[test]'
	@touch $@ $(VENV)/.demo

demo: $(VENV)/.demo
	$(BIN)/mainstay demo

test: $(VENV)/.test
	$(BIN)/python -m pytest

check: lint types test

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# mypy checks the installed package, from a folder where the tree cannot stand in for it.
types: $(VENV)/.test
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml -p mainstay.pipeline -p mainstay.middleware -p mainstay.adapters -p mainstay.providers

coverage: $(VENV)/.test
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

dist: $(VENV)/.test
	rm -rf build dist
	$(BIN)/python -m build

clean:
	rm -rf build dist *.egg-info $(VENV) .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
