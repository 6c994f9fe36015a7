# `make demo` and `make test` need only Python 3.11+ with pip, and make.
PYTHON ?= python3
VENV ?= .venv
# Takes a CPU build where pip offers one; on a machine with an NVIDIA card the same line gives the CUDA build.
TORCH ?= torch==2.13.0
BIN := $(VENV)/bin
# Tests at a time; those of one file stay together, as they share what is slow to make.
JOBS ?= 2
PYTEST := $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations=8
# Tests of what dependencies are used for; all of them would take an hour.
OLDEST := test_rle.py test_video.py test_metrics_ap.py test_draw.py test_completion.py test_exports.py test_live.py

.PHONY: demo test check install lint audit docs dist wheel oldest

demo: install
	$(BIN)/samodal demo

test: install
	$(PYTEST) -m "not heavy"

# What is too heavy for every edit: lint, known faults of what is installed, the site of the docs, the longest tests, and
# the wheel in two environments of its own: with the newest and with the oldest dependencies that it allows.
check: install lint audit docs
	$(PYTEST) -m heavy
	$(MAKE) wheel oldest

docs: install
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site

dist: install
	rm -rf dist
	$(BIN)/hatchling build -t sdist -t wheel -d dist

# The wheel in an empty environment, with the newest of everything but torch, for which TORCH stands (TORCH="torch>=2.11"
# takes the newest): a newcomer's first day, and the tests of what the wheel brings.
wheel: dist
	$(PYTHON) scripts/environment.py $(VENV)/newest "$(TORCH)" dist
	$(VENV)/newest/bin/python scripts/newcomer.py build/newcomer --check docs/newcomer.md

# The lowest versions that pyproject.toml allows; TORCH=torch==2.11.0 for torch's, which is a CUDA build of gigabytes.
oldest: dist
	$(PYTHON) scripts/environment.py $(VENV)/oldest "$(TORCH)" dist --oldest
	cd tests && ../$(VENV)/oldest/bin/python -m pytest -m "not heavy" -p no:cacheprovider $(OLDEST)

lint: install
	$(BIN)/ruff check src tests benchmarks scripts examples docs
	$(BIN)/ruff format --check src tests benchmarks scripts examples docs

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
