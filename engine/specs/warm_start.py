"""What a run takes over from others. Free of torch."""

from typing import Literal, Self

from pydantic import Field as Leaf
from pydantic import model_validator

from winnow.engine.specs.frozen import Frozen


class Source(Frozen):
    """The checkpoint of another run below the same root: the run's id, and the SHA-256 of the checkpoint's tensors."""

    run: str = Leaf(pattern=r"^[0-9]{8}-[0-9]{6}-[a-z0-9-]+$", max_length=100, description="id of the run")
    sha256: str = Leaf(pattern=r"^[0-9a-f]{64}$", description="digest of the checkpoint")


class StartSpec(Frozen):
    """What a run takes over from others: weights, and which groups may live from the first step to the last.

    A support is held as in a refit, without penalty: training inside it is training the network that has only these
    groups.
    """

    weights: Source | None = Leaf(None, description="whose weights it starts with, of the same network; none: fresh")
    support: Literal["free", "same", "union", "strongest"] = Leaf(
        "free",
        description="which groups may live: all, those of `supports`, those alive in any of them, or the largest",
    )
    supports: tuple[Source, ...] = Leaf((), description="runs whose living groups count (same: one, union: several)")
    zero_parameters: float | None = Leaf(
        None, ge=0, lt=100, description="per cent of the penalised parameters at zero (union and strongest)"
    )
    fresh_seed: int | None = Leaf(None, ge=0, lt=2**63, description="seed of fresh weights; none: that of the run")

    @model_validator(mode="after")
    def _what_a_support_needs(self) -> Self:
        least, most = {"free": (0, 0), "same": (1, 1), "union": (1, 1000), "strongest": (0, 0)}[self.support]
        if not least <= len(self.supports) <= most:
            wanted = f"{least}" if least == most else f"at least {least}"
            raise ValueError(f"`supports` should name {wanted} with {self.support}. Found {len(self.supports)}.")
        if self.support == "strongest" and (self.weights is None or self.zero_parameters is None):
            raise ValueError("`weights` and `zero_parameters` should be given with strongest. Found one missing.")
        return self
