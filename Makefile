# The commands of the README; `make help` lists them.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint types ui bench clean

help: ## list the commands
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "make %-7s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/recon: pyproject.toml uv.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet uv==0.13.9
	$(BIN)/uv sync --frozen --quiet
	@touch $(BIN)/recon

setup: $(BIN)/recon ## a virtual environment with everything in it, from the lock file

demo: setup ## set up, then the whole job on a realistic workspace with planted incidents
	$(BIN)/recon demo

test: setup ## set up, then every test
	$(BIN)/python -m pytest

lint: setup ## ruff and sqlfluff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint dbt

types: setup ## strict types on core/, plain elsewhere
	$(BIN)/mypy dagster_project

ui: setup ## the Dagster UI on loopback
	$(BIN)/recon ui

clean: ## remove what the job made (.recon)
	rm -rf .recon
