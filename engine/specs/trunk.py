"""What every network may be asked for, and what those with a trunk of several stages may be asked for besides."""

from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from winnow.engine.specs.frozen import Frozen
from winnow.engine.specs.registry import Reference


class NetworkSpec(Frozen):
    """A network with its options; a subclass per kind of network sets `network` and `build`.

    `build` is imported by the worker: build(spec, tasks, channels) returns a module whose forward turns images
    (B, channels, H, W) into {task: prediction}; one of ours has a `trunk` and `heads`.
    """

    network: str
    build: ClassVar[Reference]
    ours: ClassVar[bool] = True
    """Whether Winnow has its code; otherwise it is the user's, and a run keeps its architecture."""
    foreign_names: ClassVar[Reference | None] = None
    """What translates the names of other libraries' weights: translated(names) returns {their name: ours}."""

    @property
    def seam(self) -> bool:
        """Whether it is a `MultiTaskNet`; otherwise any module whose forward returns {task: output}."""
        return self.ours

    def fingerprint(self) -> dict[str, str]:
        """Return what identifies code of the user's own that builds it; {} where there is none."""
        return {}

    @property
    def stages(self) -> tuple[int, ...]:
        """The widths that a narrower network of the same kind has less of; () where it has no narrower ones."""
        return ()

    def with_stages(self, widths: tuple[int, ...]) -> Self:
        """Return the same network with other `stages`."""
        raise NotImplementedError(f"{type(self).__name__}.with_stages")


class TrunkSpec(NetworkSpec):
    """A trunk and a head per task: what the heads are, where they read, and how the tasks share the trunk."""

    head: Literal["light", "aspp", "unet"] = Field(
        "light",
        description="head of a dense task. light: one 3×3 convolution; aspp: DeepLab's; unet: a decoder of every stage",
    )
    head_width: int = Field(48, ge=1, le=8192, description="channels inside each head")
    head_stage: dict[str, int] = Field(
        default_factory=dict,
        description="stage of the trunk that the head of a task reads, as seg=4,depth=2; 1 is the first, and a task "
        "that is not named reads the last",
    )
    coupling: Literal["shared", "mtan", "cross-stitch"] = Field(
        "shared",
        description="how tasks share. shared: one trunk; mtan: one trunk, and a mask of each task on every stage; "
        "cross-stitch: a trunk per task, mixed after every stage",
    )
    trunk_stages: int | None = Field(
        None,
        ge=1,
        le=8,
        description="stages of the trunk that are built, the first ones; not set: all. Heads read one of these",
    )

    @property
    def depth(self) -> int:
        """The number of stages of the whole trunk."""
        return 4

    @property
    def built(self) -> int:
        """The number of stages that are built."""
        return self.depth if self.trunk_stages is None else self.trunk_stages

    @property
    def seam(self) -> bool:
        """Whether one trunk serves all tasks."""
        return self.coupling != "cross-stitch"

    @field_validator("head_stage")
    @classmethod
    def _stages_are_counted_from_one(cls, stages: dict[str, int]) -> dict[str, int]:
        if wrong := [f"{task}={stage}" for task, stage in stages.items() if stage < 1]:
            raise ValueError(f"`head_stage` must be at least 1, got {', '.join(wrong)}.")
        return stages

    @model_validator(mode="after")
    def _stages_that_there_are(self) -> Self:
        if self.built > self.depth:
            raise ValueError(f"`trunk_stages` must be at most {self.depth} in {self.network}, got {self.built}.")
        return self
