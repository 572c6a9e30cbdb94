# `make app`: install, train on the embedded rooms, open the dashboard on the live run.  `make test`: install, run all tests.
PYTHON ?= python3
STAMP := .venv/.stamp
# What the dashboard's first page imports: compiled at once, or the first visitor waits a second for it.
FIRST := import sysconfig; p = sysconfig.get_path('purelib'); names = 'pandas numpy pyarrow streamlit pydantic dateutil google starlette uvicorn anyio'; print(*(f'{p}/{n}' for n in names.split()))

.PHONY: app test bench reliability claim browser clean
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

$(STAMP): pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/pip install --disable-pip-version-check --no-compile -q -e '.[balancing,cluster,dev,export,report,samples]'
	.venv/bin/python -m compileall -q -j0 -x '/tests/' $$(.venv/bin/python -c "$(FIRST)")
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
