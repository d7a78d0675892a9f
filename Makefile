# make demo    the whole product on this machine, with a simulated sensor (MODEL=tflite: the model in that format;
#              DEMO=--keep leaves it running; DEMO=--dashboard shows it in a browser, with ten simulated devices)
# make test    lint, types, tests and coverage, in phases that say how long they took
# make lint    ruff and mypy alone
# make test-also  types and the fast tests again with another Python (3.13, or 3.11 where .venv is 3.13), if one is here,
#              those of the engine's parts left out
# make verdicts  judges the conformance set of verdicts and prints its false accepts and false refusals
# make bench   the tests that are too long for `make test`, then the measurements of tests/bench (BENCH=soak or
#              BENCH=daemon_idle only that one; ZOO=DIR ours against other quantizers on a directory of models, see
#              tests/bench/zoo.py)
#
# None needs root. Everything is installed into .venv once; PYTHON=/path/to/python chooses another interpreter.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := test
.PHONY: demo test test-also lint verdicts bench venv

# The newest that really runs: a version manager's shim may stand for nothing.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11; do $$p -c '' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# One more than processors: many a test waits, for a sensor that keeps its pace or for a broker that is gone.
WORKERS ?= $(shell echo $$(( $$(nproc) + 1 )))
PYTEST := $(BIN)/python -m pytest --cov --cov-append --cov-report= --cov-fail-under=0
# What tests write is synced a thousand times: in memory, where there are 6 GB to spare for it, that costs nothing.
export PYTEST_DEBUG_TEMPROOT := $(shell free=$$(df --output=avail /dev/shm 2>/dev/null | tail -1); \
  [ "$${free:-0}" -gt 6000000 ] && [ -w /dev/shm ] && echo /dev/shm || echo "$${TMPDIR:-/tmp}")
EXTERNAL_S := 1200
# Interrupted, pytest still ends what its fixtures have started.
AT_MOST := timeout --foreground --signal INT --kill-after 30
PIP := $(BIN)/python -m pip install --progress-bar off --disable-pip-version-check --constraint constraints.txt --editable
# A line for each package while they come; errors and warnings of pip are on stderr, untouched.
SIGNS := sed -un 's/^ *Collecting \([^ <>=!~;,[(]*\).*/  \1/p; s/^Installing collected packages.*/  writing all of it to disk/p' >&2

demo: .venv/.demo
	$(BIN)/host-tools demo $(if $(MODEL),--model $(MODEL)) $(DEMO)

# Parallel first; then, one test after the other, those that start a foreign program and those that prove speed.
test: .venv/.dev
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || \
	  echo "mosquitto is missing, its tests are skipped: sudo apt install mosquitto mosquitto-clients" >&2
	@command -v systemd-analyze >/dev/null || \
	  echo "systemd-analyze is missing, its tests are skipped: sudo apt install systemd" >&2
	@$(BIN)/coverage erase
	.ci/phase lint $(MAKE) --no-print-directory lint
	.ci/phase parallel $(PYTEST) -m 'not (measured or external or soak)' -n $(WORKERS) --dist worksteal
	.ci/phase external $(AT_MOST) $(EXTERNAL_S) $(PYTEST) -m external || [ $$? -eq 5 ]  # 5: there is no such test
	.ci/phase measured $(PYTEST) -m measured
	$(BIN)/coverage report

# With what .venv does not run with, in an environment of its own; PYTHON2=/path/to/python chooses.
test-also: .venv/.dev
	WORKERS=$(WORKERS) .ci/test-also $(BIN)/python $(PYTHON2)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

verdicts: .venv/.dev
	$(BIN)/python -m tests.verdicts

bench: .venv/.dev
	$(BIN)/python $(if $(ZOO),tests/bench/zoo.py $(ZOO) --write tests/bench/ZOO.md,tests/bench/run_all.py $(BENCH))

.venv/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into .venv (about 500 MB, a minute or two)" >&2
	@$(PIP) '.[demo,device,dashboard]' | $(SIGNS)
	@touch $@

.venv/.dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into .venv (about 600 MB, a minute or two)" >&2
	@$(PIP) '.[dev]' | $(SIGNS)
	@touch $@ .venv/.demo

$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "no Python 3.11, 3.12 or 3.13 here; Debian: sudo apt install python3 python3-venv" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make a virtual environment; Debian: sudo apt install python3-venv" >&2; exit 2; }
	@echo "making .venv with $$($(PYTHON) --version)" >&2
	$(PYTHON) -m venv .venv
