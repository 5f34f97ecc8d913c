# Every target sets up what it needs, and repeating it costs little.
# ARGS is passed to the command: make demo ARGS="--seconds 20 --json", make test ARGS='-m "not kafka"'.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Only the command line sets these: a shell may have variables with such names.
LOCK := requirements.lock
CPU :=
TORCH :=
COMPILE := $(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet
# The engines that the benchmark compares with have environments of their own.
ENGINES := $(wildcard tests/benchmarks/contestants/pinned/*.in)
TWO_CORES := --numprocesses 2 --dist loadfile --no-loadscope-reorder

.PHONY: help setup demo picture unit test thorough coverage cuda chaos bench learn compare lint format docs lock clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 18

setup: $(READY) ## create the virtual environment from the lock file; CPU=1 deletes what only a GPU needs

$(READY): $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r $(LOCK)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(if $(CPU),$(BIN)/python deploy/leave_out_gpu.py)
	@touch $@

demo: $(READY) ## run cameras, a real Kafka and a real worker, with a live table
	@$(BIN)/vision-worker demo $(ARGS)

picture: $(READY) ## run the demo, kill one of two workers, and write the picture of it that the README shows
	$(BIN)/vision-worker demo --kill-a-worker --picture docs/demo.svg $(ARGS)

unit: $(READY) ## run the quick tests, without a broker: all that are not marked slow or kafka
	$(BIN)/python -m pytest $(TWO_CORES) -m "not slow and not kafka" $(ARGS)

test: $(READY) ## run the tests, including those on a real Kafka
	$(BIN)/python -m pytest $(TWO_CORES) --durations=20 -m "not thorough" $(ARGS)

thorough: $(READY) ## run all tests: also those that do in another way what make test does
	$(BIN)/python -m pytest $(TWO_CORES) --durations=20 $(ARGS)

coverage: $(READY) ## run all tests, and list the lines that none of them runs; takes twice as long
	$(BIN)/python -m pytest $(TWO_CORES) --cov --cov-report=term $(ARGS)

cuda: $(READY) ## run the tests of a GPU; they fail where there is none
	$(BIN)/python -m pytest tests/cuda $(ARGS)

chaos: $(READY) ## kill, pause, scale and disconnect real workers under load; ARGS="--quick" for a short run
	$(BIN)/python -m tests.chaos $(ARGS)

bench: $(READY) ## compare its speed with alternatives; ARGS="--quick" takes minutes instead of hours
	$(BIN)/python -m tests.benchmarks $(ARGS)

learn: $(READY) ## train three models, serve them from a real Kafka, and compare; ARGS="--only digits" for one
	$(BIN)/python -m tests.benchmarks.trained $(ARGS)

compare: $(READY) ## check that a refactoring changed nothing; ARGS="BEFORE AFTER", two commits
	$(BIN)/python -m tests.compare $(ARGS)

lint: $(READY) ## check style, types and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY) ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(READY) ## generate the tables in docs/
	$(BIN)/python -m tests.support.generated

lock: $(READY) ## resolve the dependencies again; TORCH=cpu writes requirements.cpu.lock, with the CPU build of torch
	$(COMPILE) $(if $(TORCH),--torch-backend $(TORCH) --python-platform linux,--universal) --all-extras --no-strip-extras \
		--output-file requirements.$(if $(TORCH),$(TORCH).)lock pyproject.toml
	$(if $(TORCH),,$(foreach engine,$(ENGINES),$(COMPILE) --universal --output-file $(engine:.in=.lock) $(engine) &&) true)

clean: ## remove all that the other targets created
	rm -rf $(VENV) build .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis
