# `make demo` and `make test` need only Python 3.11+ with pip, and make.
PYTHON ?= python3
VENV ?= .venv
# Takes a CPU build where pip offers one; on a machine with an NVIDIA card the same line gives the CUDA build.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin

.PHONY: demo test check install lint audit

demo: install
	$(BIN)/samodal demo

test: install
	$(BIN)/python -m pytest -m "not heavy" --durations=8

# What is too heavy for every edit: lint, known faults of what is installed, and the longest tests.
check: install lint audit
	$(BIN)/python -m pytest -m heavy --durations=8

lint: install
	$(BIN)/ruff check src tests benchmarks scripts
	$(BIN)/ruff format --check src tests benchmarks scripts

# pip-audit lives beside the pins, not among them. Without it, or without its service, the table alone is held.
audit: install
	test -x $(VENV)/audit/bin/pip-audit || { $(PYTHON) -m venv $(VENV)/audit && \
	  $(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1; } || true
	$(BIN)/python scripts/audit.py --pip-audit $(VENV)/audit/bin/pip-audit

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "samodal needs Python 3.11 or newer; name one with: make PYTHON=python3.12 demo"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "this Python cannot make environments; on Debian or Ubuntu: sudo apt-get install python3-venv"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@
