# Two commands for a newcomer: `make demo` and `make test`. The rest is for contributors.
PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check --quiet
TESTS  ?=
# .ci/run counts the branches, and so does `make test COVERED=--cov`; not where pictures and pages are made,
# which it makes take more than twice as long.
COVERED ?= $(if $(filter 1,$(DIGEST_TEST_ALL)),--cov --cov-report=)
DRAWN    = tests/figures tests/preview tests/render

# `make test TMPDIR=/some/folder` takes another one.
IN_MEMORY = $(if $(TMPDIR),TMPDIR=$(TMPDIR),$(addprefix TMPDIR=,$(shell .ci/scratch)))

# Some tests wait for others to answer, so two cores carry three workers.
SUITE = $(IN_MEMORY) $(BIN)/python -m pytest -n 3 --dist worksteal -m "not long and not kills"

# npm writes this file last, so it stands for the whole folder.
NODE_TOOLS = .ci/node/node_modules/.package-lock.json

.DEFAULT_GOAL := help
.PHONY: help demo test node check format lint types layers locks lock kills long fuzz mutants bench docs catalogues golden wheel clean

help: ## what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.run ## sample CRM, worksheet and config; sends today's digest to a local inbox
	@$(BIN)/digest demo $(ARGS)

test: $(VENV)/.dev node ## run every test
	$(SUITE) $(COVERED) $(or $(TESTS),$(if $(COVERED),$(addprefix --ignore=,$(DRAWN))))
	@if [ -n "$(COVERED)" ]; then \
	  $(if $(TESTS),,$(SUITE) $(DRAWN) &&) $(BIN)/python -m coverage report | grep -E "^(Name|TOTAL)"; fi

node: # the validators of the mail
	@if .ci/node/ready; then $(MAKE) -s $(NODE_TOOLS); else false; fi \
	  || echo "no validators of the mail (they need npm and Node 20.19 or newer): their tests are skipped"

check: $(VENV)/.dev format lint types layers locks ## format, lint, types, import rules, lock files

format: $(VENV)/.dev
	$(BIN)/ruff format --check .

lint: $(VENV)/.dev
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

layers: $(VENV)/.dev
	$(BIN)/lint-imports

locks: $(VENV)/.dev
	$(BIN)/python .ci/locks.py

lock: ## write the lock files anew (needs the network)
	@test -x .tools/bin/uv || { $(PYTHON) -m venv .tools && .tools/bin/python -m pip install --quiet uv; }
	$(PYTHON) .ci/locks.py --write

kills: $(VENV)/.dev ## 2,000 processes killed at every step and at random, four workers in 400 rounds
	$(IN_MEMORY) $(BIN)/python -m pytest -n 2 --dist worksteal -m kills tests/delivery tests/fleet

long: $(VENV)/.dev ## the long suites: fuzzing, 10,000 months
	$(BIN)/python -m pytest -n 2 --dist worksteal -m long

fuzz: $(VENV)/.dev ## 50,000 mutated settings and worksheets: no traceback, no hang
	$(BIN)/python -m pytest -n 2 --dist worksteal -m fuzz

mutants: $(VENV)/.dev ## change the code on purpose; the tests have to notice 9 of 10 changes
	$(BIN)/python .ci/mutants.py $(ARGS)

bench: $(VENV)/.bench ## measure, each figure beside its alternative
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

docs: $(VENV)/.dev ## write docs/commands.md anew
	$(BIN)/python .ci/commands.py

catalogues: $(VENV)/.dev ## collect the messages into every language and compile them
	$(BIN)/python .ci/messages.py

golden: $(VENV)/.dev ## rewrite the golden files, then read the difference
	$(BIN)/python -m pytest tests/render --golden-update -q

wheel: $(VENV)/.dev ## build the wheel into dist/
	$(BIN)/python -m hatchling build -t wheel

clean: ## remove what make made
	rm -rf $(VENV) .tools .ci/node/node_modules dist digest-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("digest needs Python 3.11 or newer; set PYTHON=/path/to/python3.11") if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

# --no-deps: a lock is complete; without it pip looks past the pin of `package[extra]` and then refuses what it found.
$(VENV)/.run: requirements/run.lock requirements/build.lock | $(BIN)/python
	@echo "installing into $(VENV) (once)"
	@$(PIP) install --require-hashes --no-deps -r requirements/run.lock -r requirements/build.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml | $(BIN)/python
	@echo "installing what the tests need into $(VENV) (once)"
	@$(PIP) install --require-hashes --no-deps -r requirements/dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.bench: requirements/bench.lock | $(VENV)/.dev
	@echo "installing what only the benchmarks compare with into $(VENV) (once)"
	@$(PIP) install --require-hashes --no-deps -r requirements/bench.lock
	@touch $@

# --ignore-scripts: these tools are plain JavaScript; nothing of theirs runs at install time.
$(NODE_TOOLS): .ci/node/package-lock.json .ci/node/.npmrc
	@echo "installing the validators of the mail into .ci/node (once)"
	@cd .ci/node && npm ci --ignore-scripts --silent
	@touch $@
