"""What an explanation is asked to find."""

from typing import Literal

from engine.spec import Frozen


class ExplainSpec(Frozen):
    """One explanation of a run's network."""

    kind: Literal["explain"] = "explain"
    format_version: Literal[1] = 1
