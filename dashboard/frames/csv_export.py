"""A frame as a CSV file that a spreadsheet opens without running anything in it."""

import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def csv(frame: pd.DataFrame) -> bytes:
    """Return the frame as UTF-8 CSV without its index; text that a spreadsheet would take for a formula gets a '."""
    safe = frame.rename(columns={name: guarded(name) for name in frame.columns})
    words = safe.select_dtypes(["object", "string", "category"]).columns
    return safe.assign(**{name: safe[name].map(guarded) for name in words}).to_csv(index=False).encode()


def guarded(cell: object) -> object:
    """Return the cell, with a leading apostrophe where it is text that starts like a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
