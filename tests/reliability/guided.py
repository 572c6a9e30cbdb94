"""A reader fuzzed where coverage leads, with atheris: what tries new code is kept and drawn from.

    python -m tests.reliability.guided SECONDS READER ...

Readers are those of `tests.reliability.fuzzing`, each in a process of its own. It ends with a code that is not 0 where
one of them raises a foreign error.
"""

import sys
import tempfile
from functools import partial
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["winnow.engine.runs", "winnow.engine.specs", "winnow.engine.export"]):
    from tests.reliability import fuzzing


def guided(seconds: int, name: str) -> None:
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


def main(seconds: int, names: list[str]) -> int:
    """Fuzz some readers for so long each; return how many have failed."""
    codes = {name: fuzzing.apart(partial(guided, seconds, name))[0] for name in names}
    failed = [name for name, code in codes.items() if code]
    sys.stderr.write(f"failed: {', '.join(failed) or 'none'}\n")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
