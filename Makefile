# The two commands a newcomer needs are `make demo` and `make test`; both work from a machine with Python 3.11+, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test quick check fmt clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.ready: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

demo: $(VENV)/.installed  ## one vLLM replica becomes three under load and one again, proven
	$(BIN)/flyball engine install
	$(BIN)/flyball prove examples/local.yaml

test: $(VENV)/.ready  ## every test, real vLLM and real Envoy included
	$(BIN)/flyball engine install
	$(BIN)/pytest

quick: $(VENV)/.ready  ## the tests that start no server but their own small ones, with coverage of the pure packages
	$(BIN)/pytest -q -m "not vllm and not envoy" --cov --cov-report=term

check: $(VENV)/.ready  ## format, lint, types, layers, quick tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(MAKE) quick

fmt: $(VENV)/.ready  ## put the source in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build src/*.egg-info
