"""What a run takes over from other runs: weights, which groups may be non-zero, and a teacher to imitate."""

from typing import Literal, Self

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import Frozen


class Source(Frozen):
    """The checkpoint of another run below the same root: the run's id, and the SHA-256 of the checkpoint's tensors."""

    run: str = Field(pattern=r"^[0-9]{8}-[0-9]{6}-[a-z0-9-]+$", max_length=100, description="id of the run")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="digest of the checkpoint")


class WeightsFile(Frozen):
    """A file of weights, safetensors or what `torch.save` wrote, and its SHA-256."""

    path: str = Field(max_length=4096, description="where it is")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="digest of its bytes")


class StartSpec(Frozen):
    """What a run takes over from other runs: weights, and the support: which groups may be non-zero at any step.

    A support is held as in a refit, without penalty: this trains the network that has only these groups.
    """

    weights: Source | None = Field(
        None, description="run whose weights to start with, of the same network; not set: fresh weights"
    )
    file: WeightsFile | None = Field(None, description="file with the weights to start with, of the same network")
    support: Literal["free", "same", "union", "strongest", "random"] = Field(
        "free",
        description="which groups may be non-zero. free: all; same: those of the run in `supports`; union: those of "
        "any run in it; strongest: the largest; random: as many of each layer as the run in `supports` has, drawn with "
        "the seed of the run",
    )
    supports: tuple[Source, ...] = Field(
        (), description="runs whose non-zero groups are meant; same and random need one, union several"
    )
    zero_parameters: float | None = Field(
        None,
        ge=0,
        lt=100,
        description="share of the penalised parameters that is zero, in % (union and strongest only)",
    )
    teacher: Source | None = Field(
        None, description="run whose network is imitated; it must have the tasks of this run"
    )
    distillation: float = Field(
        0.0, ge=0, le=1, description="weight of imitating the teacher; 0: learn from the labels alone, 1: from it alone"
    )
    fresh_seed: int | None = Field(None, ge=0, lt=2**63, description="seed of fresh weights; not set: that of the run")

    @model_validator(mode="after")
    def _what_a_support_needs(self) -> Self:
        least, most = {"free": (0, 0), "same": (1, 1), "union": (1, 1000), "strongest": (0, 0), "random": (1, 1)}[
            self.support
        ]
        if not least <= len(self.supports) <= most:
            wanted = f"{least}" if least == most else f"at least {least}"
            raise ValueError(f"`supports` must name {wanted} with {self.support}, got {len(self.supports)}.")
        if self.file is not None and self.weights is not None:
            raise ValueError("`weights` must come from a run or from a file, got both.")
        if self.support == "strongest" and (self.weights is None or self.zero_parameters is None):
            raise ValueError("`weights` and `zero_parameters` must both be given with strongest, got one or none.")
        if (self.teacher is not None) != (self.distillation > 0):
            found = "no teacher" if self.teacher is None else "a teacher with weight 0"
            raise ValueError(f"`teacher` must be given with a `distillation` above 0, got {found}.")
        return self
