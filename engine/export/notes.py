"""What an exporter has to say while it works: kept as notes, neither shown as a user's fault nor hidden from others."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER = "torch.onnx._internal.exporter._registration"  # says of every package that is not there that it is not


@contextmanager
def unlogged(name: str) -> Iterator[None]:
    """Keep a logger of torch still, where what it would log as an error is only tried."""
    log = logging.getLogger(name)
    before, log.disabled = log.disabled, True
    try:
        yield
    finally:
        log.disabled = before


@contextmanager
def noted() -> Iterator[list[str]]:
    """Collect the warnings raised inside, and what the exporter's registry logs; each once, in order.

    Filters of the caller, "error" among them, do not hold inside, and are as they were behind it.
    """
    notes: list[str] = []
    logger = logging.getLogger(LOGGER)

    def keep(record: logging.LogRecord) -> bool:
        notes.append(record.getMessage())
        return False

    logger.addFilter(keep)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield notes
    finally:
        logger.removeFilter(keep)
        notes += [f"{note.category.__name__}: {note.message}" for note in caught]
        notes[:] = dict.fromkeys(notes)
