"""The names of layers beside an axis: a long one loses its start, as its end says more."""


def shortened(name: str, length: int) -> str:
    """Return a name of at most `length` characters; escape it afterwards, or the cut may go through an escape."""
    return name if len(name) <= length else f"…{name[1 - length :]}"
