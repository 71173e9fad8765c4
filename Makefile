# Each target makes the environment it needs by itself, in .venv.
PYTHON ?= python3
BIN := .venv/bin
# Two processes take the test files in turn, the longest first (`testpaths` in pyproject.toml).
TEST_PROCESSES ?= -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo test test-slow test-cluster check house docs bench calibrate clean

demo: .venv/ready
	$(BIN)/triptych run planted-quick

test: .venv/ready-dev
	$(BIN)/pytest $(TEST_PROCESSES)

# The contracts of the training core over every kind of every family, and the longest runs of Ray.
test-slow: .venv/ready-dev
	$(BIN)/pytest $(TEST_PROCESSES) -m slow

# The engine against lost workers, drivers, nodes and servers: minutes per test, most of them spent
# waiting. Those with several hosts need root, for network namespaces.
test-cluster: .venv/ready-dev
	$(BIN)/pytest $(TEST_PROCESSES) -m cluster --timeout 900 tests/cluster

# FEATURES: a feature file in the MMSA layout, for the comparison of whole studies.
# MMSA_PYTHON: the interpreter of an environment with the MMSA framework, to compare its trainer and its tuner too.
bench: .venv/ready-dev
	$(BIN)/python -m tests.benchmarks.report
	$(BIN)/python tests/benchmarks/packs.py $(FEATURES)
	$(if $(and $(FEATURES),$(MMSA_PYTHON)),$(BIN)/python tests/benchmarks/epoch.py $(FEATURES) --mmsa-python $(MMSA_PYTHON))
	$(if $(FEATURES),$(BIN)/python tests/benchmarks/end_to_end.py $(FEATURES) $(if $(MMSA_PYTHON),--mmsa-python $(MMSA_PYTHON)))

check: .venv/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The house in numbers. AGAINST: a commit to put beside the working tree.
house: .venv/ready-dev
	$(BIN)/python tests/house.py $(if $(AGAINST),--against $(AGAINST))

# 500 studies of placebos and 500 of a true effect, in five to ten minutes on two cores.
calibrate: .venv/ready-dev
	$(BIN)/python -m tests.calibration.calibrate --out docs/calibration.md

docs: .venv/ready
	$(BIN)/python -m msa_core.reference.modules_page docs/modules.md
	$(BIN)/python -m spaces.help.studies_page docs/studies.md

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/ready-dev: .venv/ready
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
