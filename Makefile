# All that one needs to run logservice and to work on it. `make help` prints the targets from the comments beside them.

PYTHON ?= python3
ROWS ?= 500000
ENGINE ?= sqlite
# More than processors: half of the time tests wait, for servers and disks.
JOBS ?= 3
VENV := .venv
LOWEST := .venv-lowest
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Without its warnings of whatever else stands on a line that has an exemption.
BANDIT := $(VENV)/bin/python -c 'import logging; logging.disable(30); from bandit.cli.main import main; main()'
# ClickHouse's engine is large: at a desk it is to be asked for, and its tests say so when they are left out.
COMMA := ,
DEV ?= dev$(if $(filter true,$(CI)),$(COMMA)test-clickhouse)
DESCRIPTION := setup.cfg pyproject.toml constraints.txt
# What touches every dependency, and needs none of the programs that are only there to test with.
WEB := admin own stat envelope ingest token traces export idempotency health page_mounted metrics
CORE := tests/test_config.py tests/test_logs.py tests/test_metrics_live.py tests/exports tests/store/test_schema.py \
  tests/store/test_upgrades.py tests/store/test_refusals.py tests/cli/test_backup.py \
  $(WEB:%=tests/web/test_%.py) tests/hosts/test_manners.py tests/hosts/test_databases.py

.DEFAULT_GOAL := help
.PHONY: help run demo test lowest lint audit check format bench clean

help:  ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.installed  ## Install what is missing and serve on 127.0.0.1:8000; the first time, make an admin
	@exec $(VENV)/bin/logservice serve

demo: $(VENV)/.installed  ## Serve a separate database with 50,000 rows, an admin and two users
	@exec $(VENV)/bin/logservice demo --serve

test: $(VENV)/.installed-dev  ## Run the tests; some of them: make test ARGS="-k purge"
	$(VENV)/bin/python -m pytest -n $(JOBS) $(ARGS)

lowest: $(LOWEST)/.installed  ## Run the tests of the core with the lowest versions that setup.cfg allows
	$(LOWEST)/bin/python -m pytest -n $(JOBS) $(or $(ARGS),$(CORE))

lint: $(VENV)/.installed-dev  ## Look at format, lint, types and openings for attacks; change nothing
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	@$(BANDIT) --quiet --ini setup.cfg

audit: $(VENV)/.installed-dev  ## Ask whether weaknesses are known of the versions in constraints.txt
	$(VENV)/bin/python -m tests.dependency_audit

check: lint audit test  ## Do all three: lint, audit, then test

format: $(VENV)/.installed-dev  ## Put code into its format and mend what ruff can mend
	$(VENV)/bin/ruff check --fix-only .
	$(VENV)/bin/ruff format .

bench: $(VENV)/.installed-dev  ## Measure against a gateway's own table: make bench ROWS=5000000 ENGINE=postgresql
	@exec $(VENV)/bin/python -m benchmarks --rows $(ROWS) --engine $(ENGINE) $(ARGS)

clean:  ## Remove .venv and caches; instance/ and its databases stay
	rm -rf $(VENV) $(LOWEST) build dist *.egg-info .hypothesis .mypy_cache .pytest_cache .ruff_cache
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
	@$(INSTALL) -e '.[$(DEV)]'
	@touch $(VENV)/.installed $@

$(LOWEST)/.installed: $(DESCRIPTION) tests/lowest_versions.py
	@echo "Installing the lowest versions into $(LOWEST) ..."
	@$(PYTHON) -m venv --clear $(LOWEST)
	@$(PYTHON) -m tests.lowest_versions > $(LOWEST)/constraints.txt
	@$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check -c $(LOWEST)/constraints.txt \
	  -e '.[postgres,mysql,otlp,archive,clickhouse]' pytest pytest-xdist hypothesis googleapis-common-protos
	@touch $@
