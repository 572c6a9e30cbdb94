# `make app`: install, train on the embedded rooms, open the dashboard on the live run.  `make test`: install, run all tests.
PYTHON ?= python3
STAMP := .venv/.stamp

.PHONY: app test bench reliability browser clean
app: $(STAMP)
	.venv/bin/winnow demo

test: $(STAMP) browser
	.venv/bin/pytest

bench: $(STAMP)
	.venv/bin/pytest tests/benchmarks -m bench -s --timeout=1800

reliability: $(STAMP)
	.venv/bin/pytest tests/studies -m study -s

browser: $(STAMP)
	@.venv/bin/python tests/find_browser.py

$(STAMP): pyproject.toml
	test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/pip install --disable-pip-version-check --no-compile -q -e '.[balancing,dev,export,report,samples]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
