# `make` alone lists what there is. Everything runs in .venv, which is made and filled the first time.

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
VENV_PYTHON := .venv/bin/python
MAKEFLAGS += --no-print-directory
ARGS ?=
# One more than cores: tests wait for processes, brokers and browsers for a third of their time.
TEST_WORKERS ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 2) + 1 )))
TESTS ?= tests

.PHONY: help up demo test test-containers check bench faults down clean status environment dev-environment \
	check-format check-lint check-imports check-types check-tests

help: ## Lists the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: environment ## Brings up Kafka, Postgres and the four services; changes nothing when they run. SECURE=1: TLS, users, grants
	@$(VENV_PYTHON) -m deploy.local up

demo: up ## make up, then plays a campaign on it: a million codes, a hundred thousand game events
	@$(VENV_PYTHON) -m counterfoil demo $(ARGS)

status: environment ## Says what runs
	@$(VENV_PYTHON) -m deploy.local status

down: environment ## Ends what make up started; data stay
	@$(VENV_PYTHON) -m deploy.local down

clean: environment ## make down, and deletes the data
	@$(VENV_PYTHON) -m deploy.local clean

test: dev-environment ## Every tier of the tests, on a Kafka and a Postgres that it starts itself
	$(VENV_PYTHON) -m pytest $(TESTS) -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-containers: dev-environment ## docker-compose.yml really run, and scaled, killed and restarted; root, Debian, minutes
	$(VENV_PYTHON) -m pytest tests/containers/checks.py $(ARGS)

check: dev-environment ## Format, lint, import rules, strict types, the tests that need no server
	@$(MAKE) -j4 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) \
		check-format check-lint check-imports check-types check-tests

bench: dev-environment ## The benchmarks, each next to its peer in the same run
	@$(VENV_PYTHON) -m tests.bench $(ARGS)

faults: dev-environment ## Random faults of redemption for a while: SEED=1 MINUTES=30
	@$(VENV_PYTHON) -m tests.faults $(if $(SEED),--seed $(SEED)) $(if $(MINUTES),--minutes $(MINUTES))

environment:
	@$(PYTHON) -m deploy.local.venv local

dev-environment:
	@$(PYTHON) -m deploy.local.venv dev

check-format:
	$(VENV_PYTHON) -m ruff format --check .

check-lint:
	$(VENV_PYTHON) -m ruff check .

check-imports:
	.venv/bin/lint-imports

check-types:
	$(VENV_PYTHON) -m mypy

check-tests:
	$(VENV_PYTHON) -m pytest -q tests/unit tests/contract
