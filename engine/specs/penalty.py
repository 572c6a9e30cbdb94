"""What a run may ask of its penalty: R(w), its groups, the course of its strength λ; and the registry of penalties."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import Frozen, Positive, Strength
from winnow.engine.specs.registry import Reference


@dataclass(frozen=True)
class PenaltyKind:
    """A penalty: the class that computes it, which fields of `PenaltySpec` it takes besides, what it penalises.

    The class is called with strength, weights and, by name, `parameters`. `any_metric`: whether its prox has a closed
    form for one step length per member, which Adam gives to the members of a coupled group.
    """

    make: Reference
    penalises: str
    parameters: tuple[str, ...] = ()
    any_metric: bool = True
    learnable: bool = False


TargetOf = Literal["group", "parameter", "mac", "latency", "memory"]
AUTO = "auto"  # in place of a strength: it is learned
LEARNED_START = 0.01  # of λ_max: where λ starts that is learned
MOST_STRENGTH = 1e3  # λ_max: from 1 on the penalty outweighs the loss in every group
_PENALTIES = "winnow.engine.sparsity.penalties"
PENALTIES: Mapping[str, PenaltyKind] = MappingProxyType(
    {
        "group_lasso": PenaltyKind(Reference(_PENALTIES, "GroupLasso"), "the norm of each group", learnable=True),
        "sparse_group_lasso": PenaltyKind(
            Reference(_PENALTIES, "SparseGroupLasso"), "the norm of each group, and single entries", ("mix",)
        ),
        "group_mcp": PenaltyKind(
            Reference(_PENALTIES, "GroupMCP"),
            "only small norms of groups",
            ("concavity",),
            any_metric=False,
            learnable=True,
        ),
        "l1": PenaltyKind(Reference(_PENALTIES, "L1"), "single entries"),
    }
)
if TYPE_CHECKING:
    PenaltyName = str
else:
    PenaltyName = Literal[tuple(PENALTIES)]


class PenaltySpec(Frozen):
    """R(w), which weights become zero together, and how the strength λ changes over the run."""

    penalty: PenaltyName = Field(
        "group_lasso",
        description="what is penalised. " + "; ".join(f"{name}: {kind.penalises}" for name, kind in PENALTIES.items()),
    )
    strength: Strength = Field(
        1e-3,
        description="λ, the weight of the penalty; with a target, λ starts at a tenth of it. auto: λ is learned while "
        f"the run trains, starting at {LEARNED_START:g} λ_max",
    )
    strength_of: Literal["loss", "max"] = Field(
        "loss",
        description="unit of the strength. loss: λ itself; max: λ_max, the smallest λ that outweighs the loss in "
        "every group of the fresh network",
    )
    learned: Literal["no", "global", "layer"] = Field(
        "no",
        description="learn λ while the run trains, from held-out training images. no: λ is given; global (as "
        "--strength auto): one λ; layer: one for each layer",
    )
    held_out: float = Field(0.1, gt=0, lt=1, description="share of the training images to hold out, for learning λ")
    learn_every: int = Field(8, ge=1, le=100_000, description="steps between two changes of a learned λ")
    horizon: float = Field(
        50.0, ge=1, le=1e6, description="steps whose effect counts in learning λ; 1: only the last step"
    )
    learn_tolerance: float = Field(
        1.0,
        ge=0,
        le=1e3,
        description="what the penalty with a learned λ may cost, in standard errors of the held-out loss",
    )
    target: float | None = Field(
        None, gt=0, lt=100, description="share to make exactly zero, in %; λ is adjusted until it is reached"
    )
    target_of: TargetOf = Field(
        "group",
        description="what the target is a share of. latency: the time of a forward pass on this machine; memory: the "
        "largest memory of its activations",
    )
    latency_batch: int = Field(1, ge=1, le=1024, description="images per pass, for a target of latency")
    groups: Literal["input", "output", "coupled"] = Field(
        "input",
        description="what becomes zero together. input: an input channel of a layer, as in the paper; output: a "
        "filter; coupled: a channel with all layers that write or read it",
    )
    scope: Literal["trunk", "heads", "both"] = Field("trunk", description="which layers are penalised")
    weights: Literal["size", "none"] = Field(
        "size", description="c_g, the weight of each group. size: √(its number of entries); none: 1"
    )
    mix: float = Field(0.5, ge=0, le=1, description="α, the share of the penalty on single entries")
    concavity: Positive = Field(3.0, description="γ; groups whose norm exceeds γ λ c_g are not shrunk")
    normalisation: Literal["plain", "aware"] = Field(
        "plain",
        description="layers before a batch norm. plain: the penalty may shrink a whole layer; aware: the norm of each "
        "layer is kept (input groups)",
    )
    warm_up: int = Field(0, ge=0, le=100_000, description="epochs without penalty at the start")
    ramp: int = Field(
        0, ge=0, le=100_000, description="epochs after the warm-up over which λ rises from 0; without a target"
    )
    refit: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="last share of the run, without penalty, zeros kept; not set: 0.25 with a target or a learned λ, "
        "else 0",
    )
    removal: int = Field(
        0, ge=0, le=100_000, description="epochs between removals of zero channels while training; 0: no removal"
    )
    floor: float = Field(
        0.05, ge=0, le=1, description="share of each layer's groups that is never made zero; 0: a layer may die out"
    )

    @model_validator(mode="before")
    @classmethod
    def _learned_from_a_start(cls, values: Any) -> Any:
        """Take strength auto for one λ that is learned, and start it at a share of λ_max unless something is said."""
        if not isinstance(values, dict):
            return values
        auto = values.get("strength") == AUTO
        if auto and values.get("learned") == "no":
            raise ValueError(f"`learned` must be global or layer with strength {AUTO}, got no. Leave it out.")
        learned = values.get("learned") or ("global" if auto else "no")
        if auto or (learned != "no" and "strength" not in values):
            if "strength_of" in values:
                raise ValueError(
                    f"`strength_of` must be left out where λ is learned from {LEARNED_START:g} λ_max on, got "
                    f"{values['strength_of']}. Give a strength to start from, or leave it out."
                )
            return {**values, "learned": learned, "strength": LEARNED_START, "strength_of": "max"}
        return values

    @model_validator(mode="after")
    def _what_can_be_learned(self) -> Self:
        if self.learned == "no":
            return self
        known = [name for name, kind in PENALTIES.items() if kind.learnable]
        wrong = {
            f"`penalty` must be {' or '.join(known)}": self.penalty not in known and self.penalty,
            "`target` must be left out": self.target is not None and f"{self.target:g} %",
            "`ramp` must be 0": self.ramp > 0 and f"{self.ramp} epochs",
            "`normalisation` must be plain": self.normalisation != "plain" and self.normalisation,
            "`strength` must be above 0": self.strength == 0 and "0, from which it cannot rise",
        }
        for must, found in wrong.items():
            if found:
                raise ValueError(f"{must} where the strength is learned, got {found}.")
        return self

    @model_validator(mode="after")
    def _a_strength_that_computes(self) -> Self:
        if self.strength_of == "max" and self.strength > MOST_STRENGTH:
            raise ValueError(
                f"`strength` must be at most {MOST_STRENGTH:g} in units of λ_max, got {self.strength:.3g}. From 1 on "
                "the penalty outweighs the loss in every group."
            )
        return self

    @property
    def refit_share(self) -> float:
        """The last part of the run that is a refit of the frozen support."""
        found = self.target is not None or self.learned != "no"
        return self.refit if self.refit is not None else 0.25 if found else 0.0


class StrengthChange(Frozen):
    """λ from the given step on: what a user did to a live run, so that it can be replayed."""

    step: int = Field(ge=0, description="first step (from 0) with the new strength")
    strength: Strength = Field(description="λ from this step on")


class TargetChange(Frozen):
    """The target from the given step on, likewise."""

    step: int = Field(ge=0, description="first step (from 0) with the new target")
    target: float = Field(gt=0, lt=100, allow_inf_nan=False, description="share to make exactly zero, in %")
