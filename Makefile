# make demo    the whole product on this machine, with a simulated sensor (MODEL=tflite: the model in that format;
#              DEMO=--keep leaves it running)
# make test    lint, types, tests and coverage
# make lint    ruff and mypy alone
# make bench   the measurements of tests/bench (BENCH=daemon_idle only that one; ZOO=DIR ours against other quantizers
#              on a directory of models, see tests/bench/zoo.py)
#
# None needs root. Everything is installed into .venv once; PYTHON=/path/to/python chooses another interpreter.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := test
.PHONY: demo test lint bench venv

# The newest that really runs: a version manager's shim may stand for nothing.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11; do $$p -c '' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# One more than processors: many a test waits, for a sensor that keeps its pace or for a broker that is gone.
WORKERS ?= $(shell echo $$(( $$(nproc) + 1 )))
PIP := $(BIN)/python -m pip install --progress-bar off --disable-pip-version-check --constraint constraints.txt --editable
# A line for each package while they come; errors and warnings of pip are on stderr, untouched.
SIGNS := sed -un 's/^ *Collecting \([^ <>=!~;,[(]*\).*/  \1/p; s/^Installing collected packages.*/  writing all of it to disk/p' >&2

demo: .venv/.demo
	$(BIN)/host-tools demo $(if $(MODEL),--model $(MODEL)) $(DEMO)

test: lint
	@command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || \
	  echo "mosquitto is missing, its tests are skipped: sudo apt install mosquitto mosquitto-clients" >&2
	@command -v systemd-analyze >/dev/null || \
	  echo "systemd-analyze is missing, its tests are skipped: sudo apt install systemd" >&2
	$(BIN)/python -m pytest -m 'not measured' -n $(WORKERS) --dist worksteal --cov --cov-report= --cov-fail-under=0
	$(BIN)/python -m pytest -m measured --cov --cov-append --cov-report=term:skip-covered

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/.dev
	$(BIN)/python $(if $(ZOO),tests/bench/zoo.py $(ZOO) --write tests/bench/ZOO.md,tests/bench/run_all.py $(BENCH))

.venv/.demo: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing into .venv (about 500 MB, a minute or two)" >&2
	@$(PIP) '.[demo,device]' | $(SIGNS)
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
