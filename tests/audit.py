"""Known vulnerabilities of the versions in constraints.txt, by pip-audit in an environment of its own.

    python tests/audit.py

Exit code 1 if there are any, each on a line. Where no index can be reached it says so and passes: what cannot be
checked here is checked in CI, where there is a network.
"""

import json
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PLACE = ROOT / ".venv-audit"
TOOL = "pip-audit>=2.7,<3"
PATIENCE = 300  # s


def installed() -> bool:
    """Return whether pip-audit is there, after trying to get it."""
    python = PLACE / "bin" / "python"
    if not python.exists():
        venv.create(PLACE, with_pip=True)
    command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries", "1", TOOL]
    return subprocess.run(command, capture_output=True, timeout=PATIENCE).returncode == 0


def audited(constraints: Path) -> dict[str, Any] | None:
    """Return what pip-audit says of pinned versions; None where it cannot ask."""
    command = [str(PLACE / "bin" / "python"), "-m", "pip_audit", "-r", str(constraints), "--no-deps", "--disable-pip"]
    done = subprocess.run([*command, "-f", "json"], capture_output=True, text=True, timeout=PATIENCE)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def known(found: dict[str, Any]) -> Iterator[str]:
    """Yield a line per vulnerability: package, version, its name, the versions without it."""
    for package in found.get("dependencies", []):
        for one in package.get("vulns", []):
            fixed = ", ".join(one.get("fix_versions", [])) or "none yet"
            yield f"{package['name']} {package['version']}: {one['id']}, mended in {fixed}"


def main() -> int:
    """Check the versions; return the exit code."""
    try:
        found = audited(ROOT / "constraints.txt") if installed() else None
    except (OSError, subprocess.SubprocessError):
        found = None
    if found is None:
        print("not checked: no index can be reached from here")
        return 0
    lines = list(known(found))
    print(*lines, f"{len(found['dependencies'])} packages, {len(lines)} known vulnerabilities", sep="\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
