# Two promises: `make demo` runs the main job, `make test` passes the tests; both set up everything.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# The environments' tests run under the oldest supported Gymnasium too (tests/test_envs_gymnasium.py).
OLDEST := gymnasium==1.1.0

.PHONY: help venv demo test lint clean

help:
	@echo "make venv   the virtual environment the other targets use ($(VENV))"
	@echo "make demo   simulate, preprocess, classify, rl, report: runs/demo/report.html"
	@echo "make test   ruff, mypy and the tests"
	@echo "make clean  remove the environment and the caches (never runs/)"

venv: $(STAMP)

# torch comes first and alone: its pin is a CPU build, and nothing after it can then pull another.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -c 'import sys; assert sys.version_info >= (3, 11), "Python 3.11 or later is needed"'
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	rm -rf $(VENV)/gymnasium-oldest
	$(BIN)/pip install --quiet --no-deps --target $(VENV)/gymnasium-oldest $(OLDEST)
	touch $(STAMP)

demo: venv
	$(BIN)/python run_pipeline.py demo --folder runs/demo

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: lint
	$(BIN)/python -m pytest --numprocesses 2

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
