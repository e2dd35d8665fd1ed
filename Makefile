# All that one needs to run logservice and to work on it. `make help` prints the targets from the comments beside them.

PYTHON ?= python3
ROWS ?= 500000
ENGINE ?= sqlite
# More than processors: half of the time tests wait, for servers and disks.
JOBS ?= 3
VENV := .venv
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DESCRIPTION := setup.cfg pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help run demo test lint check format bench clean

help:  ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed  ## Install what is missing and serve on 127.0.0.1:8000; the first time, make an admin
	@exec $(VENV)/bin/logservice serve

demo: $(VENV)/.installed  ## Serve a separate database with 50,000 rows, an admin and two users
	@exec $(VENV)/bin/logservice demo --serve

test: $(VENV)/.installed-dev  ## Run the tests; some of them: make test ARGS="-k purge"
	$(VENV)/bin/python -m pytest -n $(JOBS) $(ARGS)

lint: $(VENV)/.installed-dev  ## Look at format, lint and types; change nothing
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

check: lint test  ## Do both: lint, then test

format: $(VENV)/.installed-dev  ## Put code into its format and mend what ruff can mend
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.installed-dev  ## Measure against a gateway's own table: make bench ROWS=5000000 ENGINE=postgresql
	@exec $(VENV)/bin/python -m benchmarks --rows $(ROWS) --engine $(ENGINE) $(ARGS)

clean:  ## Remove .venv and caches; instance/ and its databases stay
	rm -rf $(VENV) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The file that venv writes last: a half-made environment has none, and is made anew.
$(VENV)/bin/activate:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "logservice needs Python 3.11 or newer, and $(PYTHON) is none: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing: apt install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)

$(VENV)/.installed: $(DESCRIPTION) | $(VENV)/bin/activate
	@echo "Installing logservice into $(VENV) ..."
	@$(INSTALL) -e .
	@touch $@

# Includes the plain installation, so that `make run` after `make test` starts at once.
$(VENV)/.installed-dev: $(DESCRIPTION) | $(VENV)/bin/activate
	@echo "Installing logservice and its development tools into $(VENV) ..."
	@$(INSTALL) -e '.[dev]'
	@touch $(VENV)/.installed $@
