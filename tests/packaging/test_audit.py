"""The check of dependencies: a vulnerability fails it, no network does not."""

import json
import subprocess
from typing import Any

import pytest

from tests import audit

CLEAN = {"dependencies": [{"name": "numpy", "version": "2.4.6", "vulns": []}, {"name": "x", "skip_reason": "local"}]}
FOUND = {"dependencies": [{"name": "torch", "version": "2.5", "vulns": [{"id": "CVE-1", "fix_versions": ["2.6"]}]}]}


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        (json.dumps(CLEAN), 0, "2 packages, 0 known"),
        (json.dumps(FOUND), 1, "torch 2.5: CVE-1, mended in 2.6"),
        ("ConnectionError: no route to host", 0, "not checked"),
        ("", 0, "not checked"),
        ("[]", 0, "not checked"),
    ],
)
def test_a_vulnerability_fails_it_and_no_network_does_not(monkeypatch, capsys, answer: str, code: int, said: str):
    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, 0 if "install" in command else 1, answer, "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(audit.venv, "create", lambda *_, **__: None)
    assert audit.main() == code
    assert said in capsys.readouterr().out


def test_without_the_tool_nothing_is_checked(monkeypatch, capsys):
    monkeypatch.setattr(audit, "installed", lambda: False)
    assert audit.main() == 0
    assert "not checked" in capsys.readouterr().out
