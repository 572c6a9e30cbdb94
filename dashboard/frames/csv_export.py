"""A frame as a CSV file that a spreadsheet opens without running anything in it."""

import pandas as pd

from winnow.engine.runs.spreadsheet import safe_frame


def csv(frame: pd.DataFrame) -> bytes:
    """Return the frame as UTF-8 CSV without its index, its text guarded."""
    return safe_frame(frame).to_csv(index=False).encode()
