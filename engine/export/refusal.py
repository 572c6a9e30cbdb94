"""Models that cannot be written down, and documents that are not taken: refused by name, never half done."""


class NotDescribable(ValueError):  # noqa: N818 - named as engine.pruning's NotTraceable is
    """A model whose program or layers a document cannot hold; the message names the first such thing."""


class NotRebuildable(ValueError):  # noqa: N818
    """A document or a folder that is damaged, or asks for more than the layers and operations that are allowed."""


class NotSame(ArithmeticError):  # noqa: N818
    """An exported model does not give the outputs of the model, so no file is kept."""


class MissingPackages(ImportError):  # noqa: N818
    """An optional package is not installed; the message says how to get it."""
