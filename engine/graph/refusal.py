"""A model whose channels cannot be followed is refused by name, never guessed."""

COMPUTED = "its weight must be a plain parameter: remove what computes it"
"""The advice for a layer whose weight is computed at each pass, so that nothing of it can be cut."""

COMPUTED_BIAS = "its bias must be a plain parameter: remove what computes it"
"""The same for one whose bias is."""

AS_A_TENSOR = (
    "{} takes it as a tensor and not as the weight of a layer, so nothing of it goes: give it as it is, or transposed, "
    "to F.linear, a convolution or a product"
)
"""Why nothing of a parameter goes that is used as a tensor by something."""

NOT_FOLLOWED = "{} takes it and is not followed, so nothing of it goes: {}"
"""The same for one that a layer takes which has no rule; and what to do."""


class NotTraceable(ValueError):  # noqa: N818 - the published name
    """The channel graph of a model cannot be found; the message names the module, the operation and what to do."""

    def __init__(self, path: str, operation: str, advice: str) -> None:
        where = f"`{path}`" if path else "the model itself"
        super().__init__(f"`model` must be one whose channels can be followed, got {operation} in {where}: {advice}")
        self.path, self.operation, self.advice = path, operation, advice
