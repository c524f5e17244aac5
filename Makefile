# Two commands do all the set-up: `make demo` shows the library at work, `make test` runs every test.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PACKAGES := mainstay.pipeline mainstay.middleware mainstay.adapters mainstay.providers
# The tests of the ground floor and the layers: quick, and where their branches must all be met.
LAYERS := tests/pipeline tests/middleware tests/contract tests/composition
SOURCES := pyproject.toml README.md $(shell find pipeline middleware adapters providers -name '*.py' -o -name py.typed)

.PHONY: demo test check lint types coverage oldest bench profile dist clean

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
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml $(addprefix -p ,$(PACKAGES))
	cd $(VENV) && bin/mypy --config-file ../pyproject.toml ../tests/typed/use.py

# The ground floor and the layers must be covered, branch by branch, by their own tests. `make coverage COVERED=tests`
# also shows what all tests miss of the rest.
COVERED ?= $(LAYERS)
coverage: $(VENV)/.test
	$(BIN)/python -m pytest --cov --cov-report= $(COVERED)
	$(BIN)/python -m coverage report --skip-covered
	$(BIN)/python -m coverage report --skip-covered --fail-under=95 --include='*/mainstay/pipeline/*,*/mainstay/middleware/*'

# With the oldest versions that pyproject.toml allows; the acceptance tests, which combine everything with everything, and
# those of other people's clients, which bring their own versions, once are enough.
oldest: $(VENV)/.test
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet '.[test]' -c tests/oldest.txt
	$(VENV)-oldest/bin/python -m pytest $(LAYERS) tests/adapters tests/providers tests/wire \
		--ignore=tests/adapters/clients --ignore=tests/adapters/protect

# Mainstay beside what people would use instead, in an environment of its own; takes twenty minutes or more on a machine
# that does nothing else. `make bench BENCH=--quick` is a look.
$(VENV)-bench/.bench: $(SOURCES) benchmarks/requirements.txt
	test -x $(VENV)-bench/bin/python || $(PYTHON) -m venv $(VENV)-bench
	rm -rf build
	$(VENV)-bench/bin/python -m pip install --quiet -r benchmarks/requirements.txt
	$(VENV)-bench/bin/python -m pip install --quiet .
	@touch $@

bench: $(VENV)-bench/.bench
	$(VENV)-bench/bin/python -m benchmarks $(BENCH)

# Where the time of Mainstay's calls goes, beside that of raw requests.
profile: $(VENV)-bench/.bench
	$(VENV)-bench/bin/python -m benchmarks.profile

dist: $(VENV)/.test
	rm -rf build dist
	$(BIN)/python -m build

clean:
	rm -rf build dist *.egg-info $(VENV) $(VENV)-oldest $(VENV)-bench .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
