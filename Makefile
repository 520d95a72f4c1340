# Everything a contributor does. Repeated runs redo only what changed: the files named .done-… say
# what has been done to an environment, and when.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON_SOURCES := $(shell find src -name '*.py' -o -name py.typed)
STATIC_FILES := $(wildcard src/nuncio/browser/* src/nuncio/console/*)
PACKAGE := $(PYTHON_SOURCES) $(STATIC_FILES) pyproject.toml setup.py README.md LICENSE
RUN := .venv/bin/python

.PHONY: help
help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "make %-16s %s\n", $$1, $$2}'

.PHONY: demo
demo: .venv/.done-package ## Run the chat example on http://localhost:3000 (ONCE=1: prove it works, then end)
	@scripts/npm.sh examples/chat optional
	@$(RUN) examples/chat/demo.py $(if $(ONCE),--once) $(ARGS)

.PHONY: test
test: ## Install all that is needed, then run every test against both builds
	@scripts/setup-test.sh
	@scripts/run-tests.sh $(ARGS)

.PHONY: check
check: .venv/.done-dev ## Lint, check the format, check the types
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy

.PHONY: format
format: .venv/.done-dev ## Put the sources into the format that check wants
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

.PHONY: browser
browser: ## Build the browser client, whose served files are committed
	@scripts/browser.sh

.PHONY: bench
bench: .venv/.done-package .venv/.done-test benchmarks/sioload ## Measure Nuncio beside its peers (options in ARGS)
	@scripts/npm.sh benchmarks
	@$(RUN) benchmarks/run.py $(ARGS)

.PHONY: bench-transports
bench-transports: .venv/.done-package .venv/.done-test ## Measure the transports beside each other (options in ARGS)
	@$(RUN) benchmarks/transports.py $(ARGS)

.PHONY: chaos
chaos: .venv/.done-package .venv/.done-test ## Put clusters into a storm for SECONDS=180 each, with dice SEED=7, or those of one KIND=streams
	@NUNCIO_CHAOS_SECONDS=$(or $(SECONDS),180) NUNCIO_CHAOS_SEED=$(or $(SEED),7) NUNCIO_CHAOS_KINDS=$(KIND) $(RUN) -m pytest -p no:cacheprovider tests/chaos $(ARGS)

.PHONY: bench-cluster
bench-cluster: .venv/.done-package .venv/.done-test benchmarks/sioload ## Measure clusters beside Node.js's, and workers (options in ARGS)
	@scripts/npm.sh benchmarks
	@$(RUN) benchmarks/cluster.py $(ARGS)

.PHONY: docs
docs: .venv/.done-docs ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

.PHONY: clean
clean: ## Remove what was built, and caches
	rm -rf build dist site src/*.egg-info benchmarks/sioload
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests examples benchmarks -name node_modules -prune -o -name __pycache__ -type d -print | xargs rm -rf

.PHONY: distclean
distclean: clean ## Remove the environments and what npm fetched, too
	rm -rf .venv .venv-pure examples/chat/node_modules tests/interop/node_modules benchmarks/node_modules
	rm -rf browser/node_modules browser/dist
	rm -rf tests/interop/languages/*/build

# --- what the targets above stand on

.venv/.done-venv:
	@scripts/venv.sh .venv
	@touch $@

# The package alone, compiled if that is possible.
.venv/.done-package: .venv/.done-venv $(PACKAGE)
	@scripts/install.sh .venv
	@touch $@

.venv/.done-%: pyproject.toml scripts/requirements.py .venv/.done-venv
	@scripts/tools.sh .venv $*
	@touch $@

# The same sources run as plain Python; the tools are those of .venv, seen through a path file.
.venv-pure/.done-package: .venv/.done-test $(PACKAGE)
	@scripts/venv-pure.sh
	@NUNCIO_PURE=1 scripts/install.sh .venv-pure
	@touch $@

benchmarks/sioload: benchmarks/sioload.c
	$(CC) -O2 -o $@ $<
