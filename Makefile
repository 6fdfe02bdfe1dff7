# Engram. `make` alone prints help.
# Needed on the machine: Python >= 3.11 and make.
PYTHON ?= python3
VENV ?= .venv
LOG ?= embedded
ARGS ?=
JOBS ?= 2
RESULTS ?= runs/faults.jsonl
DATA ?= $(or $(ENGRAM_DATA_DIR),data)

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCKED := $(PIP) install --require-hashes

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo demo-light app gpu-bench test test-full test-faults lint format lock bench bench-peers batch observe figures docs reference clean

help: ## Print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  PYTHON=python3.12 names another Python; LOG=kafka uses a real broker; JOBS=4 tests in parallel; ARGS='...' goes to the command."

install: $(VENV)/.core ## Install Engram and its pinned dependencies into .venv

demo: $(VENV)/$(if $(filter kafka,$(LOG)),.broker,.core) ## Replay MovieLens and watch it being learned, with one retraining (LOG=kafka: through Kafka)
	@$(BIN)/engram demo --log $(LOG) $(ARGS)

demo-light: $(VENV)/$(if $(filter kafka,$(LOG)),.broker,.core) ## The same, learned online alone
	@$(BIN)/engram demo --light --log $(LOG) $(ARGS)

app: $(VENV)/.page ## Rate films on a web page and watch it learn; MovieLens streams by beside
	@$(BIN)/engram app $(ARGS)

test: $(VENV)/.dev ## Run the tests (20 minutes at most on two cores), with a real Kafka broker
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile -m "not full" --durations=15 $(ARGS)

test-full: $(VENV)/.dev ## Run all tests, long ones too
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --durations=30 $(ARGS)

test-faults: $(VENV)/.dev ## Try every fault on both logs, an hour or more; goes on where it was stopped (RESULTS=FILE)
	@$(BIN)/python -m tests.faults.campaign --results "$(RESULTS)" $(ARGS)

lint: $(VENV)/.dev ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .

lock: $(VENV)/.dev ## Pin the dependencies anew (requirements/*.txt)
	@$(PIP) install uv
	@UV=$(BIN)/uv requirements/lock.sh

bench: $(VENV)/.dev ## Measure kernels and log as ratios to a fixed reference, and say what moved (two minutes)
	@$(BIN)/python -m benchmarks.ratios $(ARGS)

bench-peers: $(VENV)/.dev ## Measure whole replays, as ratios to River in the same run (DATA=DIR with ml-1m)
	@$(BIN)/python -m benchmarks.end_to_end --data-dir "$(DATA)" $(ARGS)

gpu-bench: $(VENV)/.batch ## Everything that a GPU is for, measured: epochs, samples/s, all batch models (DATA=DIR with ncf-ml-1m)
	@$(BIN)/python -m benchmarks.gpu --data-dir "$(DATA)" $(ARGS)

batch: $(VENV)/.batch ## Install what batch models need: torch (gigabytes), a text model; then `engram train`

observe: $(VENV)/.dev ## Watch a replay with a real Prometheus: every query of every dashboard (DATA=DIR for MovieLens)
	@$(BIN)/python -m dashboards.observe $(if $(wildcard $(DATA)/ml-100k),--data-dir "$(DATA)") $(ARGS)

figures: $(VENV)/.dev ## Make the quick figures of README and docs anew, or those named (DATA=DIR with MovieLens; FIGURES="readme comparison")
	@$(BIN)/python -m benchmarks.figures --data-dir "$(DATA)" $(FIGURES)

docs: $(VENV)/.docs ## Build the site into site/, strictly: links and anchors are checked
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet && echo "site/index.html"

reference: $(VENV)/.dev ## Make the pages of reference anew, from the code
	@$(BIN)/python -m documentation.reference

clean: ## Remove the environment, caches and build products (runs/ stays)
	rm -rf $(VENV) dist site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: an environment is installed again only when its lock changed.
$(BIN)/python:
	@command -v $(PYTHON) >/dev/null || { \
	  echo "Engram needs Python 3.11 or newer; there is no $(PYTHON). Name one: make install PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Engram needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make install PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
	  echo "$(PYTHON) cannot make a virtual environment (on Debian: apt-get install python3-venv)." >&2; exit 1; }

$(VENV)/.core: requirements/core.txt pyproject.toml | $(BIN)/python
	@echo "Installing Engram into $(VENV) (a minute or two, once)"
	@$(LOCKED) -r requirements/core.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.broker: requirements/broker.txt $(VENV)/.core
	@echo "Installing what a local Kafka broker needs into $(VENV) (once)"
	@$(LOCKED) -r requirements/broker.txt
	@touch $@

$(VENV)/.batch: requirements/batch.txt $(VENV)/.core
	@echo "Installing what batch models need into $(VENV) (torch with its CUDA libraries: gigabytes, once)"
	@$(LOCKED) -r requirements/batch.txt
	@touch $@

$(VENV)/.page: requirements/page.txt $(VENV)/.core
	@echo "Installing what the web page needs into $(VENV) (a minute, once)"
	@$(LOCKED) -r requirements/page.txt
	@touch $@

$(VENV)/.docs: requirements/docs.txt $(VENV)/.core
	@echo "Installing what the site needs into $(VENV) (once)"
	@$(LOCKED) -r requirements/docs.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.core $(VENV)/.page $(VENV)/.docs $(if $(filter true,$(CI)),$(VENV)/.batch)
	@echo "Installing what tests and checks need into $(VENV) (a minute or two, once)"
	@$(LOCKED) -r requirements/dev.txt
	@touch $@
