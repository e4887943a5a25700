# Everything runs in .venv; `make run` needs only Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
# Test processes: more than cores only makes the ones with browsers and servers slower.
PROCESSES ?= 2
# Tests commit to many small databases; where memory has room for these, no disk is waited for.
export PYTEST_DEBUG_TEMPROOT ?= $(shell df -Pk /dev/shm 2>/dev/null | awk '/\/dev\/shm$$/ && $$4 > 4 * 1024 * 1024 {print "/dev/shm"}')
SOURCES := server learner cli migrations benchmarks experiments tests web_assets.py

.PHONY: install run test test-slow test-browser test-learning lint type format check bench clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt web/package-lock.json web_assets.py
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 12) else "Clipwise needs Python 3.11 or 3.12; run: make install PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: install
	$(BIN)/clipwise up

test: install
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m 'not learning and not slow'

test-slow: install
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m 'slow and not learning'

test-browser: install
	$(BIN)/python -m pytest -m browser

test-learning: install
	$(BIN)/python -m pytest -n $(PROCESSES) --dist worksteal -m learning

lint: install
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/lint-imports

type: install
	$(BIN)/mypy

format: install
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

check: lint type

bench: install
	$(BIN)/python -m benchmarks --quick

clean:
	rm -rf .venv web/node_modules web/static/vendor
