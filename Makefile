# `make app`: install, train on the embedded rooms, open the dashboard on the live run.  `make test`: install, run all tests.
PYTHON ?= python3
STAMP := .venv/.stamp
EXTRAS := balancing,cluster,data,dev,docs,export,report,samples
# What the dashboard's first page imports: compiled at once, or the first visitor waits a second for it.
FIRST := import sysconfig; p = sysconfig.get_path('purelib'); names = 'pandas numpy pyarrow streamlit pydantic dateutil google starlette uvicorn anyio'; print(*(f'{p}/{n}' for n in names.split()))
PIP := -m pip install --disable-pip-version-check -q
# The torch that `make constraints` writes down: the one that is written down already, unless you name another.
TORCH ?= $(shell sed -n 's/^torch==//p' constraints.txt)
# Python keeps what it compiles, whatever this shell says: else each process compiles torch anew, seconds of a core.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: app test bench reliability studies audit claim zoo tools docs newest constraints clean
app: $(STAMP)
	.venv/bin/winnow demo

# Several processes of one thread, a file of tests in each, the longest first: many tests wait for a browser or a worker.
# WORKERS=0: one process, for a debugger.
WORKERS ?= 4
test: $(STAMP) tools
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 .venv/bin/pytest --durations=20 --durations-min=5 -n $(WORKERS) --dist loadfile --no-loadscope-reorder

bench: $(STAMP)
	.venv/bin/pytest tests/benchmarks -m bench -s --timeout=1800

# All that was tried to break it (docs/reliability.md), with the CPU time of each study: a quarter of an hour on 2 cores.
reliability: $(STAMP)
	OMP_WAIT_POLICY=PASSIVE OMP_NUM_THREADS=1 .venv/bin/pytest tests/reliability --ignore=tests/reliability/test_watched.py -m "study or not study" -n 2 --dist worksteal -rP
	.venv/bin/pytest tests/reliability/test_watched.py -m study -s  # how fast a run is: nothing beside it

# Trained networks, whole matrices of cases, and other examples than those of `make test`, more of each: hours.
studies: $(STAMP)
	.venv/bin/pytest tests --ignore=tests/reliability -m study -s
	.venv/bin/pytest tests -m hypothesis --hypothesis-profile=wide

# Known vulnerabilities of the versions in constraints.txt. Without a network it says so and passes.
audit:
	$(PYTHON) tests/audit.py

# The claim of the field, at 70 % of the groups, on rooms and on photographs of clothes: hours on 2 cores. Interrupted, it
# goes on where it was.
claim: $(STAMP)
	.venv/bin/pytest tests/studies/test_claim.py -m claim -s

# docs/networks.md: what comes of every network of tests/zoo; with torch-pruning or transformers installed, theirs beside.
zoo: $(STAMP)
	OMP_WAIT_POLICY=PASSIVE .venv/bin/python -m tests.zoo.table docs/networks.md

# A browser and Node, for the tests that need them.
tools: $(STAMP)
	@.venv/bin/python tests/find_tools.py

# The pages of docs/ and the API reference from the docstrings, as a site in site/.
docs: $(STAMP)
	.venv/bin/python tests/link_packages.py
	.venv/bin/mkdocs build --strict -q -f docs/site/mkdocs.yml

# All tests with the newest versions that the ranges of pyproject.toml allow, torch too: gigabytes, before a release.
newest:
	rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python $(PIP) -e '.[$(EXTRAS)]'
	.venv-newest/bin/pytest

# Writes down the newest versions that the ranges allow; `make constraints TORCH=2.14.1` for another torch.
constraints:
	rm -rf .venv-newest && $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python $(PIP) 'torch==$(TORCH)' '.[$(EXTRAS)]'
	sed -n '/^#/p' constraints.txt > constraints.new
	.venv-newest/bin/pip freeze --all --exclude pip --exclude wheel --exclude winnow-mtl | sed 's/+cpu$$//' >> constraints.new
	mv constraints.new constraints.txt
	rm -rf .venv-newest

$(STAMP): pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) --no-compile -e '.[$(EXTRAS)]' -c constraints.txt
	.venv/bin/python -m compileall -q -j0 -x '/tests/' $$(.venv/bin/python -c "$(FIRST)")
	touch $@

clean:
	rm -rf .venv .venv-newest .venv-audit .links .mypy_cache .ruff_cache .pytest_cache build site
