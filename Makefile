# The two commands a newcomer needs are `make demo` and `make test`; both work from a machine with Python 3.11+, pip and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test quick covered slow static check fmt clean

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

test: quick slow  ## every test, real vLLM and real Envoy included

QUICK = $(BIN)/pytest -q -n auto --dist worksteal -m "not vllm and not envoy and not long"

quick: $(VENV)/.ready  ## the tests that start no server but their own small ones
	$(QUICK)

covered: $(VENV)/.ready  ## the same, with the coverage of the pure packages, which takes twice as long
	$(QUICK) --cov --cov-report=term

slow: $(VENV)/.ready  ## the tests that compute for long or start a real vLLM or Envoy, one after another
	$(BIN)/flyball engine install
	$(BIN)/pytest -m "vllm or envoy or long"

static: $(VENV)/.ready  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: static covered  ## what can be checked without a real server

fmt: $(VENV)/.ready  ## put the source in order
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build src/*.egg-info
