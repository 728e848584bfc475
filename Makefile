PYTHON ?= python3
BIN := .venv/bin

.PHONY: setup demo test check format soak wheel clean

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: setup
	$(BIN)/lingraft demo

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not soak"

check: setup
	$(BIN)/ruff check src tests runs benchmarks
	$(BIN)/ruff format --check src tests runs benchmarks
	$(BIN)/mypy
	$(BIN)/pydoclint --quiet src/lingraft
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix src tests runs benchmarks
	$(BIN)/ruff format src tests runs benchmarks

soak: setup
	$(BIN)/python -m pytest -m soak

wheel: setup
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf .venv dist
