"""What studies and paths have in common: the base run, sparsities, seeds, and where the runs are trained."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from winnow.engine.specs.frozen import Frozen, Name, refuse_repeated
from winnow.engine.specs.train import TrainSpec

Target = Annotated[float, Field(gt=0, lt=100, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
CLUSTERS = ("slurm", "pbs", "lsf", "sge")


class ManySpec(Frozen):
    """What a study and a path have in common: the base run, and where the runs made from it are trained."""

    kind: str
    format_version: Literal[1] = 1
    name: Name = Field(
        "study",
        min_length=1,
        max_length=40,
        description="name of the study or path; the names of its runs begin with it",
    )
    base: TrainSpec = Field(description="run that all others are made from")
    targets: tuple[Target, ...] = Field(
        (), description="shares to make exactly zero, in %, one run each; `target_of` says of what"
    )
    strengths: tuple[Fraction, ...] = Field(
        (),
        description="strengths, one run each, as fractions of λ_max, the smallest λ that outweighs the loss in every "
        "group of the fresh network",
    )
    seeds: tuple[Seed, ...] = Field(
        (0,), min_length=1, description="seeds, one run each; only runs of the same seed are compared"
    )
    workers: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="runs at the same time on this machine; not set: as many as its cores and GPUs allow",
    )
    latency: bool = Field(
        False,
        description="at the end, remove the zeros of each run and time the smaller network, one run after the other",
    )
    scheduler: str = Field(
        "",
        pattern=r"^((tcp|tls)://\S+)?$",
        description="address of a Dask scheduler, tcp://…; a worker needs one thread and the memory of a run",
    )
    cluster: dict[str, str | int | float | bool | tuple[str, ...]] = Field(
        default_factory=dict,
        description="Dask cluster to start: cluster (slurm, pbs, lsf or sge), jobs, and options of dask-jobqueue",
    )

    @property
    def judged_on(self) -> Literal["test", "val"]:
        """The split that the tables show: test, or val for a data set without a test split, such as NYU-v2."""
        return "test" if "test" in self.base.data.splits else "val"

    @model_validator(mode="after")
    def _a_base_of_its_own(self) -> Self:
        if self.base.start is not None or self.base.strength_changes or self.base.target_changes:
            raise ValueError(
                "`base` must have no `start`, `strength_changes` or `target_changes`, got one of them. Take a run that "
                "began with fresh weights and whose strength and target were not changed."
            )
        if self.base.network.network == "recorded" or self.base.data.dataset == "recorded":
            raise ValueError(
                "`base` must be a run that Winnow trains, got one that was recorded in a loop of your own. Give its "
                "network to winnow train --network MODULE:FUNCTION first."
            )
        if self.base.penalty.removal:
            raise ValueError(
                f"`removal` must be 0, because each run keeps its best network, got {self.base.penalty.removal}."
            )
        refuse_repeated(self, "targets", "strengths", "seeds")
        return self

    @model_validator(mode="after")
    def _one_place_to_train(self) -> Self:
        if self.scheduler and self.cluster:
            raise ValueError("`scheduler` must be left out with `cluster`, got both.")
        if self.cluster and self.cluster.get("cluster") not in CLUSTERS:
            raise ValueError(
                f"`cluster` must be one of {', '.join(CLUSTERS)}, got {self.cluster.get('cluster')!r}. For Kubernetes, "
                "start a KubeCluster and give the address of its `scheduler`."
            )
        return self
