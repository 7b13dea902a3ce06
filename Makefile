# Two commands on a fresh machine do everything: `make repro` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
# Large tensors come back from the allocator instead of the kernel: 5-25 % of a small model's step on a CPU.
export MALLOC_MMAP_THRESHOLD_ := 4294967296
export MALLOC_TRIM_THRESHOLD_ := 8589934592
export MALLOC_TOP_PAD_ := 67108864
# ... in huge pages where the system leaves that to programs (Linux, glibc 2.35): of resnet18's step another 15 %.
export GLIBC_TUNABLES ?= glibc.malloc.hugetlb=1

.PHONY: help install repro gains compare ui test browser bench check format clean

help:  ## Show this list.
	@grep -hE '^[a-z]+:.*##' Makefile | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

install: .venv/installed  ## Make .venv with the pinned packages.

.venv/installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing into .venv (PyTorch with its CUDA libraries is about 5.5 GB)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# compiled now, as every stage and test is a process: where Python may write no bytecode each would compile anew, 9 s
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt --editable ".[dev]"
	@touch $@

repro: install  ## Run the whole road and print the gains table. PROFILE=smoke: in miniature. JOBS=4: four stages at once.
	@$(if $(PROCESSES),FER_PROCESSES='$(PROCESSES)') python -m stages.run $(if $(PROFILE),--profile $(PROFILE)) $(if $(JOBS),--jobs '$(JOBS)')

gains: install  ## Print the gains table of the last run. WHERE=skin=dark: of these test faces only.
	@python -m stages.report --print-only $(foreach condition,$(WHERE),--where '$(condition)')

compare: install  ## Compare two experiments, branches or commits: A=main B=workspace.
	@fer compare $(or $(A),HEAD) $(B)

ui: install  ## Open the gains table in MLflow.
	@python -m stages.ui

test: install browser  ## Run the tests.
	@OMP_NUM_THREADS=1 python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

# For root on a Debian system only, as a CI machine is; elsewhere the tests of the page are skipped and say so.
browser:
	@command -v chromedriver >/dev/null || test "$$(id -u)" != 0 || ! grep -qs '^ID=debian' /etc/os-release || { \
	  echo "installing Chromium for the tests that look at MLflow's page"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  install() { apt-get install --yes --no-install-recommends chromium chromium-driver; }; \
	  { install || { apt-get update && install; }; } </dev/null >/dev/null 2>&1 || echo "Chromium could not be installed"; }

bench: install  ## Measure speed beside peers, in one table (docs/speed.md). TIMM_TRAIN=train.py: timm's script too.
	@python -m benchmarks.speed $(ARGS)

check: install  ## Format, lint, types and import rules, without changing anything.
	@ruff format --check .
	@ruff check .
	@mypy fer_core stages

format: install  ## Put the code into shape.
	@ruff format .
	@ruff check --fix .

clean:  ## Remove checkpoints and the store of finished runs; nothing that DVC or MLflow keeps.
	rm -rf .work
