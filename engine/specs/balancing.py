"""What a run may ask of its balancing of the tasks."""

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import Factor, Frozen, Positive

Method = Literal[
    "equal",
    "static",
    "auto",
    "uncertainty",
    "dwa",
    "famo",
    "gradnorm",
    "pcgrad",
    "cagrad",
    "mgda",
    "imtl_g",
    "nash_mtl",
    "aligned_mtl",
    "upgrad",
]
Scope = Literal["features", "parameters"]
METHODS: tuple[Method, ...] = get_args(Method)
FROM_LOSSES: tuple[Method, ...] = ("equal", "static", "uncertainty", "dwa", "famo")
"""The methods whose weights follow from the losses alone; they suit any network."""

IN_TURNS: tuple[Method, ...] = ("equal", "static")
"""The methods that do not look at a step's losses, of which some are 0 where the tasks take turns."""

PACKAGES: Mapping[Method, tuple[str, ...]] = MappingProxyType(
    {
        "pcgrad": ("torchjd",),
        "cagrad": ("torchjd", "cvxpy", "clarabel"),
        "mgda": ("torchjd",),
        "imtl_g": ("torchjd",),
        "aligned_mtl": ("torchjd",),
        "upgrad": ("torchjd",),
    }
)
"""What a method imports beyond the engine's own dependencies: the extra `balancing`."""


class BalancingSpec(Frozen):
    """How the losses of the tasks combine into one update; the penalty stays outside."""

    balancing: Method = Field("equal", description="how the task losses, or their gradients, are weighted")
    gradients: Scope = Field(
        "features",
        description="where the gradients of tasks are compared. features: at the shared features, which is cheap; "
        "parameters: on the trunk's weights",
    )
    task_weights: dict[str, Factor] = Field(
        default_factory=dict, description="weight of each task, as seg=1,depth=2 (static only)"
    )
    probe: int = Field(
        100,
        ge=1,
        le=1_000_000,
        description="steps in which the task gradients are measured; the weights stay fixed afterwards (auto only)",
    )
    temperature: Positive = Field(
        2.0, description="temperature of the softmax over loss ratios; a high one weights nearly equally (dwa only)"
    )
    asymmetry: Factor = Field(1.5, description="α, how strongly slow tasks are sped up (gradnorm only)")
    weights_rate: Positive = Field(0.025, description="learning rate of the task weights (gradnorm and famo only)")
    radius: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="c, largest distance from the mean gradient, as a share of its length (cagrad only)"
    )
    record_every: int = Field(50, ge=0, description="steps between two records of the conflict between tasks; 0: never")

    @model_validator(mode="after")
    def _weights_belong_to_static(self) -> Self:
        if self.balancing == "static" and not any(self.task_weights.values()):
            raise ValueError(
                f"`task_weights` must give each task a weight, at least one of them above 0, with static, got "
                f"{self.task_weights}. Write them as seg=1,depth=2."
            )
        if self.balancing != "static" and self.task_weights:
            raise ValueError(f"`task_weights` must be left out with {self.balancing}, got {self.task_weights}.")
        return self


def missing_packages(method: Method) -> tuple[str, ...]:
    """Return the packages that `method` needs and this installation lacks."""
    return tuple(name for name in PACKAGES.get(method, ()) if find_spec(name) is None)


def refuse_in_turns(method: Method, alternating: bool) -> None:
    """Raise where a method would weigh tasks by losses that a batch of one data set does not have.

    Raises:
        ValueError: batches alternate, and the method is none of IN_TURNS.

    """
    if alternating and method not in IN_TURNS:
        raise ValueError(
            f"`balancing` must be {' or '.join(IN_TURNS)} with alternating batches, where most tasks have no loss, got "
            f"{method}. Or leave `alternating` out: the batches are then mixed."
        )
