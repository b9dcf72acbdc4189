# `make` prints the targets.
PYTHON ?= python3
BIN := .venv/bin
FOR ?=

.PHONY: help demo test test-browser test-crash test-long bench lint format clean

help:  ## Print this list.
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

.venv/ready: pyproject.toml
	@echo 'Making the environment in .venv …'
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

.venv/ready-dev: .venv/ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

demo: .venv/ready  ## A simulated contact center posting at a projector, on this machine. FOR=60 ends it after a minute.
	@$(BIN)/projector demo $(if $(FOR),--for $(FOR))

test: .venv/ready-dev  ## The whole suite, real PostgreSQL included.
	@$(BIN)/python -m pytest -n 2 --dist worksteal --ignore tests/browser

.venv/ready-browser: .venv/ready-dev
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group browser
	@touch $@

test-browser: .venv/ready-browser  ## The wallboard in a real browser: the machine's Chromium, or the one that PROJECTOR_TEST_CHROMIUM names.
	@$(BIN)/python -m pytest -n 2 --dist loadfile tests/browser

test-crash: .venv/ready-dev  ## More cycles of the crash tests: CYCLES=200 SEED=7.
	PROJECTOR_CRASH_CYCLES=$(or $(CYCLES),200) PROJECTOR_CRASH_SEED=$(or $(SEED),1) $(BIN)/python -m pytest -s tests/test_crash.py

test-long: .venv/ready-dev  ## The laws over many more histories: HISTORIES=100000 in memory, HISTORIES_DB=2000 on each database.
	PROJECTOR_HISTORIES=$(or $(HISTORIES),100000) PROJECTOR_HISTORIES_DB=$(or $(HISTORIES_DB),2000) \
	$(BIN)/python -m pytest -n 2 --dist worksteal tests/test_laws.py tests/test_naive.py

bench: .venv/ready-dev  ## The benchmarks, on both databases: ONLY="P1 P2" ROUNDS=5 JSON=bench.json.
	@$(BIN)/python -m tests.bench $(ONLY) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(JSON),--json $(JSON))

.PHONY: docs
docs: .venv/ready  ## docs/tables.md anew, from the tables' metadata.
	$(BIN)/python -m projector.tables.document > docs/tables.md

lint: .venv/ready-dev  ## Style, types, and that imports go one way.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/ready-dev  ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## Remove the environment and caches.
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
