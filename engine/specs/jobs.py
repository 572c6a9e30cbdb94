"""The kinds of job: what a folder of work asks for, and what the worker runs for it.

`JOBS` is the registry, by the `kind` in spec.json. The folder of a job lies at the root of the runs folder, or in
the folder of the run that it is derived from (`engine.runs.derived`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from winnow.engine.specs.bench import BenchSpec
from winnow.engine.specs.explain import ExplainSpec
from winnow.engine.specs.export import ExportSpec
from winnow.engine.specs.frozen import DerivedSpec, Frozen
from winnow.engine.specs.look import LookSpec
from winnow.engine.specs.prune import PruneSpec
from winnow.engine.specs.registry import Reference
from winnow.engine.specs.sensitivity import SensitivitySpec
from winnow.engine.specs.study import PathSpec, StudySpec, TailorSpec
from winnow.engine.specs.train import TrainSpec


@dataclass(frozen=True)
class JobKind:
    """A kind of job: its spec; the function that does it; of a derived job, its main tables and a line of help.

    The function is called as run(work, writer, stop_request), that of a derived job as run(of, spec, writer,
    stop_request) with the run that it is derived from. It returns the final state, "done" or "stopped".
    """

    spec: type[Frozen]
    run: Reference
    tables: tuple[str, ...] = ()
    help: str = ""

    @property
    def derived(self) -> bool:
        """Whether it works on the result of a run, and its folder lies inside that run's."""
        return issubclass(self.spec, DerivedSpec)


_STUDY = Reference("winnow.engine.jobs.study_job", "run_study")
JOBS: Mapping[str, JobKind] = MappingProxyType(
    {
        "train": JobKind(TrainSpec, Reference("winnow.engine.jobs.training_job", "run_training")),
        "study": JobKind(StudySpec, _STUDY),
        "path": JobKind(PathSpec, _STUDY),
        "tailor": JobKind(TailorSpec, _STUDY),
        "look": JobKind(LookSpec, Reference("winnow.engine.jobs.look_job", "run_look")),
        "prune": JobKind(
            PruneSpec,
            Reference("winnow.engine.jobs.prune_job", "run_prune"),
            tables=("metrics", "measures"),
            help="Remove what is zero from the network of RUN. With a budget, also remove what matters least.",
        ),
        "explain": JobKind(
            ExplainSpec,
            Reference("winnow.engine.jobs.explain_job", "run_explain"),
            tables=("layers", "faithfulness", "circuit_figures", "circuit_overlaps"),
            help="Show which channels of RUN each task relies on. The answer is checked by switching channels off.",
        ),
        "sensitivity": JobKind(
            SensitivitySpec,
            Reference("winnow.engine.jobs.sensitivity_job", "run_sensitivity"),
            tables=("sensitivity", "suggested"),
            help="Cut each layer of RUN alone, and measure every task. Suggests how much each layer can lose.",
        ),
        "export": JobKind(
            ExportSpec,
            Reference("winnow.engine.jobs.export_job", "run_export"),
            tables=("files",),
            help="Write the pruned network of RUN in other formats, each checked, or RUN for Model Explorer.",
        ),
        "bench": JobKind(
            BenchSpec,
            Reference("winnow.engine.jobs.bench_job", "run_bench"),
            tables=("said", "best", "lost"),
            help="Time the pruned network of RUN beside the dense one. Tables say where the time goes.",
        ),
    }
)
