"""What the dashboard may load: nothing heavy, in any of its modules."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ("app.py", "router.py")  # run by Streamlit, not imported


def test_no_module_of_the_dashboard_loads_torch_captum_or_sklearn() -> None:
    files = sorted((ROOT / "dashboard").rglob("*.py"))
    modules = [
        ".".join(("winnow", *file.relative_to(ROOT).with_suffix("").parts))
        for file in files
        if file.name not in SCRIPTS
    ]
    script = (
        f"import importlib, sys; [importlib.import_module(name) for name in {modules!r}];"
        "print(sorted({'torch', 'captum', 'sklearn'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert len(modules) > 20
    assert run.stdout.strip() == "[]"
