"""A model whose channels cannot be followed is refused by name, never guessed."""

COMPUTED = "its weight must be a plain parameter: remove what computes it"
"""The advice for a layer whose weight is computed at each pass, so that nothing of it can be cut."""


class NotTraceable(ValueError):  # noqa: N818 - the published name
    """The channel graph of a model cannot be found; the message names the module, the operation and what to do."""

    def __init__(self, path: str, operation: str, advice: str) -> None:
        where = f"`{path}`" if path else "the model itself"
        super().__init__(f"`model` must be one whose channels can be followed, got {operation} in {where}: {advice}")
        self.path, self.operation, self.advice = path, operation, advice
