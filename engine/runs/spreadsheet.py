"""Text in tables that a spreadsheet opens: what would be taken for a formula, and run, gets an apostrophe in front."""

import pandas as pd

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def guarded_cell(cell: object) -> object:
    """Return the cell, with a leading apostrophe where it is text that starts like a formula, after spaces or not."""
    return f"'{cell}" if isinstance(cell, str) and cell.lstrip(" ").startswith(FORMULA_STARTS) else cell


def safe_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the frame with its titles and its text guarded_cell."""
    safe = frame.rename(columns={name: guarded_cell(name) for name in frame.columns})
    words = safe.select_dtypes(["object", "string", "category"]).columns
    return safe.assign(**{str(name): safe[name].map(guarded_cell) for name in words})
