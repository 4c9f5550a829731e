# The developer's targets. Everything that they need is installed by themselves: in .venv, and Debian packages when root.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
# Half of the time tests wait for kernels and clocks: five at a time keep two processors busy. tests/conftest.py orders the files.
WORKERS ?= 5
SOURCES := nfa tests bench demo packaging

# The router's version of Python, and an interpreter of that version, which compiles the package's byte-code.
TARGET_PYTHON ?= 3.11
is_target = $(shell $(1) -c 'import sys; print("$(1)" * ("%d.%d" % sys.version_info[:2] == "$(TARGET_PYTHON)"))' 2>/dev/null)
IPK_PYTHON = $(firstword $(call is_target,$(PYTHON)) $(call is_target,python$(TARGET_PYTHON)) $(PYTHON))

# The tests start nfa some thousand times; without byte-code, each start would compile the sources anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test mutants bench bench-quick lint ipk sizes pot clean tools

help:
	@echo 'make demo         watch packets that are blocked and sets that fill, on a private network (25 s)'
	@echo 'make test         run the tests; make test ARGS="-k replay -x" passes options to pytest'
	@echo 'make mutants      see whether the tests notice changed code, some minutes a module; make mutants MODULES="hours framing"'
	@echo 'make lint         ruff and mypy'
	@echo 'make bench        measure everything, some minutes; bench-quick: less exactly, a minute and a half'
	@echo 'make ipk          build dist/*.ipk, nfa and its LuCI page, for opkg, without the SDK (docs/openwrt.md)'
	@echo 'make sizes        what the package and all that it needs take of flash; fails above 6.5 MB'
	@echo 'make pot          the texts of the LuCI page, for translators: feeds/luci-app-nfa/po/templates/nfa.pot'
	@echo 'make clean        remove .venv and what tools left'
	@echo 'PYTHON=python3.13 make ...   use another Python (3.11 or newer) for .venv'
	@echo 'With TOPDIR set to an OpenWrt tree, this is the Makefile of the package nfa.'

demo: $(STAMP) tools
	@$(BIN)/python demo/demo.py

test: $(STAMP)
	@sh .ci/prepare tools busybox shellcheck || echo 'Without them, the tests that need them are skipped.'
	@sh .ci/prepare modules tests/luci .venv/node || echo 'Without it, the JavaScript of luci-app-nfa is not checked.'
	@$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

mutants: $(STAMP)
	@$(BIN)/python -c 'import mutmut' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[mutants]'
	@$(BIN)/python tests/mutants/run.py $(MODULES)

bench: $(STAMP) tools
	@$(BIN)/python bench/run.py

bench-quick: $(STAMP) tools
	@$(BIN)/python bench/run.py --quick

lint: $(STAMP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check --quiet $(SOURCES)
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy

ipk:
	@$(MAKE) -s --no-print-directory TOPDIR=packaging/sdk PYTHON='$(IPK_PYTHON)' TARGET_PYTHON='$(TARGET_PYTHON)' ipk-nfa
	@$(MAKE) -s --no-print-directory -C feeds/luci-app-nfa TOPDIR='$(CURDIR)/packaging/sdk' PYTHON='$(IPK_PYTHON)' \
		BUILD_DIR='$(or $(BUILD_DIR),$(CURDIR)/build/openwrt)/luci' OUT='$(or $(OUT),$(CURDIR)/dist)' ipk-luci-app-nfa

sizes: $(STAMP)
	@$(BIN)/python packaging/sizes.py

pot:
	@$(PYTHON) packaging/pot.py feeds/luci-app-nfa

tools:
	@sh .ci/prepare tools

$(STAMP): pyproject.toml
	@sh .ci/prepare venv '$(PYTHON)' .venv
	@touch $@

clean:
	rm -rf .venv .import_linter_cache .hypothesis .pytest_cache .mypy_cache .ruff_cache build dist nfa.egg-info
	find $(SOURCES) -name __pycache__ -type d -prune -exec rm -rf {} +
