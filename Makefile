# One command for each thing that one does with this project. Python 3.10 or newer is all it needs.

PYTHON ?= python3
VENV ?= .venv
TESTS ?=

.PHONY: help demo test test-all lint format bench screenshots lock clean environment machine

help:
	@echo "make demo      start the example app; its URL is on the last line (PORT=8000 chooses the port)"
	@echo "make test      run the tests (TESTS='tests/test_house.py -x' chooses)"
	@echo "make test-all  run them with every Python from 3.10 to 3.13 that is installed"
	@echo "make lint      check style and types; 'make format' mends what it can"
	@echo "make bench     run the benchmarks"
	@echo "make screenshots  take the pictures of the docs anew"
	@echo "make lock      choose newer versions of everything that tests and demo use"
	@echo "make clean     delete everything that was made here"

demo:
	@$(PYTHON) tools/environment.py $(VENV) requirements/demo.txt
	@$(VENV)/bin/python tools/demo.py

test: environment machine
	@$(VENV)/bin/python -m pytest $(TESTS)

test-all: machine
	@$(PYTHON) tools/versions.py $(TESTS)

lint: environment
	@failed=0; \
	$(VENV)/bin/ruff check . || failed=1; \
	$(VENV)/bin/ruff format --check . || failed=1; \
	$(VENV)/bin/mypy || failed=1; \
	exit $$failed

format: environment
	@$(VENV)/bin/ruff check --fix-only .
	@$(VENV)/bin/ruff format .

bench: environment machine
	@for bench in bench/[a-z]*.py; do [ -e "$$bench" ] || continue; echo "== $$bench"; $(VENV)/bin/python $$bench || exit 1; done

screenshots: environment machine
	@mkdir -p docs/images
	@SCREENSHOTS="$(CURDIR)/docs/images" $(VENV)/bin/python -m pytest tests/test_screenshots.py

# Hosts of registries have no place in a lock: each machine has its own.
COMPILE = UV_PYTHON_DOWNLOADS=never $(VENV)/bin/uv pip compile --quiet --upgrade --universal \
	--python-version 3.10 --no-header --no-annotate --no-emit-index-url

lock: environment
	@$(VENV)/bin/python -m pip install --quiet uv
	@$(COMPILE) pyproject.toml requirements/demo.in -o requirements/demo.txt
	@$(COMPILE) pyproject.toml requirements/tests.in --extra eventlet --extra gevent \
		-o requirements/tests.txt
	@$(COMPILE) requirements/sqlalchemy-2.0.in --no-deps -o requirements/sqlalchemy-2.0.txt

environment:
	@$(PYTHON) tools/environment.py $(VENV) requirements/tests.txt --wheels

machine:
	@$(PYTHON) tools/machine.py

clean:
	@rm -rf .venv .venv-* .demo instance build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
