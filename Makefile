# Every target sets itself up; `make install` does nothing when .venv is already what constraints.txt says.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PHOTOS ?=

.PHONY: install run test containers lint elasticsearch bench chaos quality mutants constraints clean

install: $(VENV)/installed

$(VENV)/installed: constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "photosift needs Python 3.11 or newer; name one with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r constraints.txt
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

constraints:
	$(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --extra dev \
	  --no-header --no-emit-trusted-host --no-emit-options --output-file constraints.txt pyproject.toml
	$(BIN)/pip-compile --quiet --strip-extras --allow-unsafe --generate-hashes --extra build --constraint constraints.txt \
	  --no-header --no-emit-trusted-host --no-emit-options --output-file deploy/requirements.txt pyproject.toml

run: install
	@if [ -n "$(PHOTOS)" ]; then exec $(BIN)/photosift run "$(PHOTOS)"; else exec $(BIN)/photosift demo; fi

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: lint
	$(BIN)/python -m tests.support.elasticsearch_distribution
	$(BIN)/pytest -n 2 --dist loadfile -m "not long and not containers" $(PYTEST)

# The compose file, built and run for real; as root, on Debian (.ci/packages.txt says what it needs)
containers: install
	$(BIN)/pytest tests/containers -m containers $(PYTEST)

# for development, in the foreground, empty at each start; prints ELASTICSEARCH_URL=…
elasticsearch: install
	@exec $(BIN)/python -m tests.support.elasticsearch

# SMALL=1: the form that CI runs
bench: install
	$(BIN)/python -m benchmarks.bench_analyse $(if $(SMALL),--rounds 3)
	$(BIN)/python -m benchmarks.bench_index $(if $(SMALL),--rows 100000)
	$(BIN)/python -m benchmarks.bench_elastic $(if $(SMALL),--rows 10000 --alone 40,--rows 1000000)
	$(BIN)/python -m benchmarks.bench_first_scan $(if $(SMALL),--photos 2000,--photos 100000)
	$(BIN)/python -m benchmarks.bench_scan $(if $(SMALL),--photos 60 --rounds 1)
