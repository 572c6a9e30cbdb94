"""A reader fuzzed where coverage leads, with atheris: what tries new code is kept and drawn from.

    python -m tests.reliability.guided SECONDS READER

Readers are those of `tests.reliability.fuzzing`. It ends with a code that is not 0 at the first foreign error.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["winnow.engine.runs", "winnow.engine.specs", "winnow.engine.export"]):
    from tests.reliability import fuzzing


def main(seconds: int, name: str) -> None:
    """Look for a case that a reader does not take; this ends the process."""
    reader, folder = fuzzing.readers()[name], Path(tempfile.mkdtemp())
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(reader.seeds):
        (corpus / str(number)).write_bytes(seed)
    (folder / reader.file).parent.mkdir(parents=True, exist_ok=True)

    def one(content: bytes) -> None:
        if said := fuzzing.tried(reader, folder, content):
            raise AssertionError(said)

    atheris.Setup([sys.argv[0], f"-max_total_time={seconds}", "-max_len=4096", "-rss_limit_mb=4096", str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
