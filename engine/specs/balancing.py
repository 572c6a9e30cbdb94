"""What a run may ask of its balancing: frozen, validated, JSON in and out, free of torch."""

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Leaf

Method = Literal[
    "equal",
    "static",
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

Positive = Annotated[float, Leaf(gt=0, allow_inf_nan=False)]
Weight = Annotated[float, Leaf(ge=0, allow_inf_nan=False)]


class BalancingSpec(BaseModel):
    """How the losses of the tasks combine into one update; the penalty stays outside."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    balancing: Method = Leaf("equal", description="how the task losses, or their gradients, are weighed")
    gradients: Scope = Leaf(
        "features", description="where task gradients are compared: shared features (cheap), or the trunk's parameters"
    )
    task_weights: dict[str, Weight] = Leaf(
        default_factory=dict, description="weight per task, as seg=1,depth=2 (static only)"
    )
    temperature: Positive = Leaf(2.0, description="of the softmax over loss ratios; high: nearly equal (dwa only)")
    asymmetry: Weight = Leaf(1.5, description="α, how hard slow tasks are pulled along (gradnorm only)")
    weights_rate: Positive = Leaf(
        0.025, description="learning rate of the task weights themselves (gradnorm and famo only)"
    )
    radius: Annotated[float, Leaf(ge=0, lt=1)] = Leaf(
        0.5, description="c, how far from the mean gradient, as a part of its length (cagrad only)"
    )
    record_every: int = Leaf(50, ge=0, description="steps between two records of the conflict of tasks; 0: never")

    @model_validator(mode="after")
    def _weights_belong_to_static(self) -> Self:
        if self.balancing == "static" and not any(self.task_weights.values()):
            raise ValueError(
                f"`task_weights` should give each task a weight, one of them above 0, with static. "
                f"Found {self.task_weights}."
            )
        if self.balancing != "static" and self.task_weights:
            raise ValueError(f"`task_weights` should be left out with {self.balancing}. Found {self.task_weights}.")
        return self


def missing_packages(method: Method) -> tuple[str, ...]:
    """Return the packages that `method` needs and this installation lacks."""
    return tuple(name for name in PACKAGES.get(method, ()) if find_spec(name) is None)
