# From a fresh clone with nothing but python3 (3.11 or newer, with venv and pip):
#
#   make demo            the problem and the fix, on real servers on this machine
#   make test            all tests; PYTEST_ARGS=tests/placement for a part
#   make test-quick      without those that start clusters or programs, in two parts at once
#   make coverage        all tests, and the lines that they cover: as CI runs them
#   make upstream        birdy's own tests on our classes; OWSLib's too: OWSLIB=its checkout
#   make birdhouse       the component in a copy of birdhouse-deploy: BIRDHOUSE=its checkout
#   make pavics          chains of PAVICS's notebooks on finch, Raven and Emu; PAVICS_ARGS=--help
#   make dev             .venv with everything
#   make lint            style, types, layers, English, and the files of forges
#   make docs            the manual, in docs/_build/html
#   make looks           open each page in Chromium: axe-core, widths, search; AXE=its axe.min.js
#   make notebooks       execute the notebooks
#   make dist            sdist and wheel, each used alone in a clean environment
#   make extras          each extra alone in a clean environment
#   make lowest          the quick tests with the lowest version of each dependency
#   make faults          random faults under 10,000 chains, and the matrix; FAULTS_ARGS=--help
#   make planted         break the library on purpose; every fault must be caught
#   make fuzz            100,000 inputs for each parser; FUZZ_ARGS=--help
#   make load            200 workflows at once for five minutes
#   make bench           side by side with the alternatives; bench-quick in under two minutes
#   make house           lines of each room, and what one execute passes through
#   make clean           remove what the above made, the virtual environment included
#
# Each target makes .venv and installs into it once, and again when pyproject.toml changes.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST_ARGS ?=
DEMO_ARGS ?=
BENCH_ARGS ?=
FAULTS_ARGS ?= --write
PLANTED_ARGS ?=
FUZZ_INPUTS ?= 100000
FUZZ_ARGS ?=
LOAD_ARGS ?=
OWSLIB ?=
BIRDHOUSE ?=
PAVICS_ARGS ?=
AXE ?= axe.min.js
DIST_ARGS ?=

PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable
DEMO := $(VENV)/.installed-demo
DEV := $(VENV)/.installed-dev
# The services of a PAVICS site have their own environment: 2 GB, and other versions.
SITE_VENV ?= .venv-pavics
SITE := $(SITE_VENV)/.installed

.PHONY: help dev demo test test-quick coverage upstream birdhouse pavics lint docs looks notebooks dist extras lowest faults planted fuzz load bench bench-quick house clean

help:
	@sed -n 's/^#   //p' Makefile

$(BIN)/pip:
	@command -v "$(PYTHON)" >/dev/null || { echo "There is no $(PYTHON); give one: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$$("$(PYTHON)" --version) is too old; give 3.11 or newer: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv "$(VENV)"

$(DEMO): pyproject.toml | $(BIN)/pip
	@echo "Installing pavics-affinity[demo] into $(VENV); this takes a minute"
	@$(PIP_INSTALL) '.[demo]'
	@touch $@

$(DEV): pyproject.toml | $(BIN)/pip
	@echo "Installing pavics-affinity[dev] into $(VENV); this takes some minutes"
	@$(PIP_INSTALL) '.[dev]'
	@touch $@ $(DEMO)

$(SITE): pyproject.toml tests/pavics/requirements.txt tests/pavics/emu.txt | $(DEV)
	@echo "Installing finch, Raven and Emu into $(SITE_VENV); this takes some minutes and 2 GB"
	@"$(PYTHON)" -m venv "$(SITE_VENV)"
	@$(SITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable '.[twitcher]' -r tests/pavics/requirements.txt
	@$(SITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps \
		-r tests/pavics/emu.txt
	@touch $@

dev: $(DEV)

demo: $(DEMO)
	@$(BIN)/pavics-affinity demo $(DEMO_ARGS)

test: $(DEV)
	@$(BIN)/python $(if $(PYTEST_ARGS),-m pytest $(PYTEST_ARGS),.ci/tests.py $(if $(COVERAGE),--cov))

test-quick: $(DEV)
	@$(BIN)/python $(if $(PYTEST_ARGS),-m pytest -q -m "not cluster and not slow" $(PYTEST_ARGS),.ci/tests.py --quick)

coverage:
	@$(MAKE) test COVERAGE=1

upstream: $(DEV)
	@$(BIN)/python tests/upstream/run.py $(if $(OWSLIB),--owslib '$(OWSLIB)')

birdhouse: $(DEV)
	@$(BIN)/python tests/upstream/birdhouse_deploy.py '$(BIRDHOUSE)'

pavics: $(DEV) $(SITE)
	@PYTHONPATH=tests $(SITE_VENV)/bin/python -m pavics.run --python $(BIN)/python $(PAVICS_ARGS)

lint: $(DEV)
	$(BIN)/ruff check --output-format concise .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell src tests docs notebooks benchmarks .ci Makefile pyproject.toml *.md
	$(BIN)/python .ci/phrases.py
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[0-9]*.yml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.readthedocs .readthedocs.yaml
	$(BIN)/check-jsonschema -q --builtin-schema vendor.citation-file-format CITATION.cff

docs: $(DEV)
	@$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html
	@echo "The manual is in docs/_build/html/index.html"

looks: docs
	@$(BIN)/python tests/docs/browser.py docs/_build/html '$(AXE)'

notebooks: $(DEV)
	@found=$$(find notebooks -name '*.ipynb' -not -path '*/.*' | sort); \
	if [ -z "$$found" ]; then echo "There are no notebooks"; \
	else $(BIN)/python -m pytest -W default --nbmake --nbmake-timeout=300 --timeout=600 $$found; fi

dist: $(DEV)
	@$(BIN)/python .ci/dist.py $(DIST_ARGS)

extras: $(DEV)
	@$(BIN)/python .ci/dist.py --all-extras $(DIST_ARGS)

lowest: $(DEV)
	@$(BIN)/nox -s lowest

faults: $(DEV)
	@PYTHONPATH=tests $(BIN)/python -m faults.run $(FAULTS_ARGS)

planted: $(DEV)
	@PYTHONPATH=tests $(BIN)/python -m faults.planted $(PLANTED_ARGS)

fuzz: $(DEV)
	@PYTHONPATH=tests $(BIN)/python -m fuzz.run --inputs $(FUZZ_INPUTS) $(FUZZ_ARGS)

load: $(DEV)
	@$(BIN)/python -m benchmarks.load $(LOAD_ARGS)

bench: $(DEV)
	@$(BIN)/python -m benchmarks.run $(BENCH_ARGS)

bench-quick: $(DEV)
	@$(BIN)/python -m benchmarks.run --quick $(BENCH_ARGS)

house: $(DEV)
	@$(BIN)/python -m benchmarks.house

clean:
	rm -rf "$(VENV)" "$(SITE_VENV)" .nox docs/_build build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find src tests benchmarks notebooks -name __pycache__ -type d -prune -exec rm -rf {} +
