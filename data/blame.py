"""What a message says of the user's code that went wrong: its error in one line, and which of its lines raised it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from site import getsitepackages
from sysconfig import get_paths
from types import FrameType, TracebackType

OURS = "winnow"
LONGEST = 1000  # characters of an error's text
INSIDE = 300  # of one that is part of another
USAGE = 2  # what argparse ends a process with
ARGUMENTS = (
    'It may ask for arguments of a command line, and gets none: read them under if __name__ == "__main__", or give '
    "each a default."
)
JOINER = "\u200d"  # joins emoji


class OwnCodeError(ValueError):
    """Code of the user's own raised an error; the message names its role, the error and the line."""


def printable(text: str) -> str:
    """Return a text with a � for each character that a terminal or a page cannot show; the joiner of emoji is kept."""
    return "".join(letter if letter.isprintable() or letter == JOINER else "�" for letter in text)


def error_text(error: BaseException, longest: int = LONGEST) -> str:
    """Return the first line of an error's text that is not blank, in printable characters; "" without a text."""
    try:
        text = str(error)
    except Exception as other:  # noqa: BLE001 - a text is asked for, whatever the user's class does
        return f"an error whose message cannot be read, because reading it raised {type(other).__name__}"
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    plain = printable(first[: longest + 1])
    return plain if len(plain) <= longest else f"{plain[:longest]}…"


def error_line(error: BaseException, longest: int = INSIDE) -> str:
    """Return an error's type and text in one line."""
    text = error_text(error, longest)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def users_line(error: BaseException) -> str:
    """Return the last line of the user's own that the error came through, as "nets.py, line 7"; "" without one.

    An error that our code raised is ours to explain, whoever called it: that gives "", too.
    """
    found = ""
    frames = list(_frames(error.__traceback__))
    if not frames or _is_ours(frames[-1][0]):
        return ""
    for frame, line in frames:
        file = Path(frame.f_code.co_filename)
        if not _is_ours(frame) and file.is_file() and not is_installed(file):
            found = f"{file.name}, line {line}"
    return found


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _is_ours(frame: FrameType) -> bool:
    spec = frame.f_globals.get("__spec__")  # of a module that was started with -m, its __name__ is __main__
    name = str(getattr(spec, "name", None) or frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] == OURS


def is_installed(file: Path) -> bool:
    """Whether a module is Python's own, or one of a package that is installed."""
    places = [*map(get_paths().__getitem__, ("stdlib", "platstdlib", "purelib", "platlib")), *getsitepackages()]
    return any(file.is_relative_to(place) for place in places)


@contextmanager
def users_code(role: str, name: str) -> Iterator[None]:
    """Run code of the user's own: what it prints goes to standard error, what it raises is said with its line.

    It sees a command line without arguments: what was given to us is not for it.

    Raises:
        OwnCodeError: it raised an error, or called sys.exit.

    """
    given = sys.argv
    with redirect_stdout(sys.stderr):
        try:
            sys.argv = [name.partition(":")[0]]
            yield
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:
            line = users_line(error)
            if not line and not isinstance(error, SystemExit | SyntaxError | ImportError):
                raise  # ours, which says by itself what is wrong
            ended = f"sys.exit({error.code!r})" if isinstance(error, SystemExit) else error_line(error)
            raise OwnCodeError(
                f"`{role}` must be code that runs, got {ended} from {name}{f' in {line}' if line else ''}. "
                f"{ARGUMENTS if isinstance(error, SystemExit) and error.code == USAGE else 'Fix it.'}"
            ) from error
        finally:
            sys.argv = given
