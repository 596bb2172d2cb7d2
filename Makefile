PYTHON ?= python3
VENV   ?= .venv
UV_VERSION := 0.13.8
EXTRAS ?= xgb-cpu
BIN    := $(VENV)/bin
PYTEST_ARGS ?=
COMMA  := ,
# Waiting OpenMP threads sleep instead of spinning: five times faster when another process shares the cores.
export OMP_WAIT_POLICY ?= PASSIVE
export DO_NOT_TRACK = 1
# Without bytecode on disk every process compiles the 1,500 modules it imports anew, which doubles its start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo test fast check format bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.core ## make .venv with the alphaloom command

demo: $(VENV)/.core ## simulate a market, run the main job on it, write the report
	$(BIN)/alphaloom demo

test: $(VENV)/.dev check ## check, then run every test that this machine can run
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup $(PYTEST_ARGS)

fast: $(VENV)/.dev ## the unit and contract tests alone (under 3 minutes)
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup -m "not slow and not market and not gpu and not browser" $(PYTEST_ARGS)

check: $(VENV)/.dev ## lint, format, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev ## rewrite the sources as the formatter wants them
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev ## measure against peers, side by side
	$(BIN)/python -m benchmarks

clean: ## remove the environment and the caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache

# pip's find-links are handed on to uv, so that a local CPU build of torch is taken where there is one
define uvpip
	links="$$($(BIN)/pip config get :env:.find-links 2>/dev/null || $(BIN)/pip config get global.find-links 2>/dev/null || true)"; \
	UV_FIND_LINKS="$$links" VIRTUAL_ENV="$(abspath $(VENV))" $(BIN)/uv pip install -q -c constraints.txt $(1)
endef

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/uv
	$(call uvpip,-e '.[$(EXTRAS)]')
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/uv
	$(call uvpip,-e '.[$(EXTRAS)$(COMMA)dev]')
	@touch $@ $(VENV)/.core
