# Everything here sets itself up in .venv, with pinned and hash-checked dependencies, and does so once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready
WORKERS ?= 2
# Of make run alone, which empties it: rasfleet run and import write to runs/<name> themselves.
RUNS := runs/make-run
TOOLS := .tools

.DEFAULT_GOAL := help
.PHONY: help run test check format bench bench-compiled compiled torture soak tools lock clean

help: ## Show the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(RUN_READY) ## A fault storm through 200 hosts, and recorded errors through the same stack.
	@rm -rf $(RUNS)/storm $(RUNS)/recorded
	$(BIN)/rasfleet run storm --out $(RUNS)/storm
	$(BIN)/rasfleet import deploy/recorded/*.log --out $(RUNS)/recorded

test: $(DEV_READY) ## All tests.
	$(BIN)/python -m pytest -n $(WORKERS)

check: $(DEV_READY) ## Format, lint, types, import contracts.
	@$(MAKE) --no-print-directory -j 2 --output-sync .types .lint

.PHONY: .types .lint
.types:
	$(BIN)/mypy
.lint:
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-cache

format: $(DEV_READY) ## Format everything.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(DEV_READY) ## Measure: ratios, rates, memory. Never fails.
	-$(BIN)/python -m tests.bench

# The floors of a host and what writes their events, compiled to C. The suite's pinned digests go through it.
COMPILED := .venv/compiled
AS_COMPILED := PYTHONPATH=$(COMPILED) PYTHONSAFEPATH=1 $(BIN)/python
compiled: $(DEV_READY) ## Build the compiled wheel (needs gcc; some minutes), and check that it writes the same bytes.
	@rm -rf $(COMPILED)
	$(BIN)/python -m hatchling build -t sdist -d $(COMPILED) 2>/dev/null # nothing is compiled beside the sources
	HATCH_BUILD_HOOKS_ENABLE=1 $(BIN)/python -m pip --disable-pip-version-check wheel --quiet --no-deps -w $(COMPILED) \
	  $(COMPILED)/rasfleet-*.tar.gz
	$(PIP) --no-deps --target $(COMPILED) $(COMPILED)/rasfleet-*.whl
	$(AS_COMPILED) -c 'import nodes.actor, fleet.engine.outlet; assert nodes.actor.__file__.endswith(".so"), nodes.actor.__file__'
	$(AS_COMPILED) -m pytest -q --import-mode=append tests/fleet/test_behaviour.py tests/fleet/engine/test_shard.py

bench-compiled: compiled ## The same measurements of the compiled wheel.
	-$(AS_COMPILED) -m tests.bench

torture: $(DEV_READY) ## Kill workers and supervisors 2,000 times, and on Kafka 50 times; every run must come out the same.
	$(BIN)/python -m tests.torture
	$(BIN)/python -m tests.torture --kafka

soak: $(DEV_READY) ## 15 minutes of storms that are faster than the disk takes them.
	$(BIN)/python -m tests.soak

.PHONY: kafka kafka-3 kafka-secured kafka-stop kafka-status
kafka: | $(BIN)/pip ## Start an Apache Kafka broker on 127.0.0.1:9092 (Java 17, Maven; no Docker).
	@$(BIN)/python -m deploy.kafka start

kafka-3: | $(BIN)/pip ## Start three nodes on 127.0.0.1:9192 to 9194.
	@$(BIN)/python -m deploy.kafka start .kafka/three --nodes 3 --port 9192

kafka-secured: | $(BIN)/pip ## Start a broker with SASL_SSL and ACLs on 127.0.0.1:9292.
	@$(BIN)/python -m deploy.kafka start .kafka/secured --secured --port 9292

kafka-stop: | $(BIN)/pip ## Stop them; what they hold stays in .kafka.
	@for made in .kafka/*/cluster.json; do \
	  [ ! -e $$made ] || $(BIN)/python -m deploy.kafka stop $${made%/*}; done

kafka-status: | $(BIN)/pip ## Say where each node stands: address, pid, memory, log.
	@for made in .kafka/*/cluster.json; do \
	  [ ! -e $$made ] || $(BIN)/python -m deploy.kafka status $${made%/*} || true; done

tools: $(TOOLS)/.ready ## What checks the files of deploy/: Kubernetes' schemas, hadolint, Prometheus (Debian's package).

lock: $(DEV_READY) ## Pin the dependencies anew, with hashes.
	$(PIP) pip-tools
	$(BIN)/pip-compile -q -U --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-find-links \
	  --extra build -o requirements.txt pyproject.toml
	$(BIN)/pip-compile -q -U --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-find-links \
	  --extra build --extra dev -c requirements.txt -o requirements-dev.txt pyproject.toml

	$(BIN)/pip-compile -q -U --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-find-links \
	  -o requirements-tools.txt deploy/tools.in

clean: ## Remove the virtual environment and the runs of make run.
	rm -rf $(VENV) $(RUNS)/storm $(RUNS)/recorded

$(BIN)/pip: # not python: an environment that uv made has no pip
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "rasfleet needs Python 3.11 or later; say which: make PYTHON=python3.12 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(RUN_READY): requirements.txt pyproject.toml | $(BIN)/pip
	$(PIP) --require-hashes --only-binary :all: -r requirements.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_READY): requirements-dev.txt pyproject.toml | $(BIN)/pip
	$(PIP) --require-hashes --only-binary :all: -r requirements-dev.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@ $(RUN_READY)

$(TOOLS)/.ready: requirements-tools.txt
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes --only-binary :all: -r $<
	cd $(TOOLS) && { apt-get download -qq prometheus || { apt-get update -qq && apt-get download -qq prometheus; }; }
	cd $(TOOLS) && dpkg -x prometheus_*.deb . && rm prometheus_*.deb
	@touch $@
