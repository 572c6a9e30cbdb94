"""The end of a worker's output."""

from pathlib import Path

from winnow.dashboard.frames.file_versions import version

LINES, BYTES = 40, 1 << 15


def tail(path: Path) -> str:
    """Return the last 40 lines of a text file, nothing where there is no file."""
    size, _ = version(path)
    if not size:
        return ""
    with path.open("rb") as file:
        file.seek(max(0, size - BYTES))
        text = file.read().decode(errors="replace")
    return "\n".join(text.splitlines()[-LINES:])
