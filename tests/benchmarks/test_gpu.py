"""The benchmark for machines with a GPU runs on the CPU too, on tiny networks."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("gpu.py")


def test_every_part_gives_a_result():
    command = [sys.executable, "-P", str(SCRIPT), "--small", "--seconds", "1000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert {key: type(value) for key, value in found.items() if isinstance(value, dict)} == dict.fromkeys(
        ("step", "scaler", "same", "compact"), dict
    )
    assert found["scaler"] == {"skipped": True, "zero groups": [16, 32]}
    assert set(found["same"].values()) == {0.0}
    assert len(found["compact"]) == 6
