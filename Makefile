# `make app`: install, train on the embedded rooms, open the dashboard on the live run.  `make test`: install, run all tests.
PYTHON ?= python3
STAMP := .venv/.stamp
EXTRAS := balancing,cluster,dev,docs,export,report,samples
# What the dashboard's first page imports: compiled at once, or the first visitor waits a second for it.
FIRST := import sysconfig; p = sysconfig.get_path('purelib'); names = 'pandas numpy pyarrow streamlit pydantic dateutil google starlette uvicorn anyio'; print(*(f'{p}/{n}' for n in names.split()))

.PHONY: app test bench reliability claim browser docs constraints clean
app: $(STAMP)
	.venv/bin/winnow demo

test: $(STAMP) browser
	.venv/bin/pytest

bench: $(STAMP)
	.venv/bin/pytest tests/benchmarks -m bench -s --timeout=1800

reliability: $(STAMP)
	.venv/bin/pytest tests/studies tests/engine/studies -m study -s

# The claim of the field, at 70 % of the groups: about an hour and a half on 2 cores. Interrupted, it goes on where it was.
claim: $(STAMP)
	.venv/bin/pytest tests/studies/test_claim.py -m claim -s

browser: $(STAMP)
	@.venv/bin/python tests/find_browser.py

docs: $(STAMP)
	.venv/bin/mkdocs build --strict

# The newest versions that the ranges of pyproject.toml allow, written down: run `make test` with them before you commit.
constraints:
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/pip install --disable-pip-version-check -q '.[$(EXTRAS)]'
	(sed -n '/^#/p' constraints.txt; .venv-newest/bin/pip freeze --exclude winnow-mtl | sed 's/+cpu$$//') > constraints.new
	mv constraints.new constraints.txt
	rm -rf .venv-newest

$(STAMP): pyproject.toml constraints.txt
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/pip install --disable-pip-version-check --no-compile -q -e '.[$(EXTRAS)]' -c constraints.txt
	.venv/bin/python -m compileall -q -j0 -x '/tests/' $$(.venv/bin/python -c "$(FIRST)")
	touch $@

clean:
	rm -rf .venv .venv-newest .links .mypy_cache .ruff_cache .pytest_cache build site
