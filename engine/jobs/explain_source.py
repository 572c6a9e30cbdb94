"""What an explanation works on: a run's network from its newest intact checkpoint, and images of its data."""

from collections.abc import Callable
from dataclasses import dataclass

from winnow.data.sample import Dataset, Field, Sample
from winnow.data.stacking import stack
from winnow.engine.jobs.restore import restore
from winnow.engine.jobs.run_data import dataset, prepare
from winnow.engine.networks.multitask import MultiTaskNet
from winnow.engine.runs.run import Run
from winnow.engine.specs.explain import ExplainSpec
from winnow.engine.tasks.task import Task
from winnow.engine.training.batches import Batches

CHUNK = 32  # images at once


@dataclass(frozen=True)
class ExplainedRun:
    """A run's network and tasks, the images, how many they are, and the step of the checkpoint."""

    net: MultiTaskNet
    tasks: dict[str, Task]
    batches: Batches
    step: int
    images: int


@dataclass(frozen=True)
class _First:
    """The first `length` samples of a data set."""

    whole: Dataset
    length: int

    @property
    def name(self) -> str:
        """The name of the whole data set."""
        return self.whole.name

    @property
    def fields(self) -> dict[str, Field]:
        """The fields of the whole data set."""
        return dict(self.whole.fields)

    def __len__(self) -> int:
        return min(self.length, len(self.whole))

    def sample(self, index: int) -> Sample:
        """Return the sample of the whole data set."""
        return self.whole.sample(index)


def explained_run(run: Run, spec: ExplainSpec, progress: Callable[[int, int], None] | None = None) -> ExplainedRun:
    """Return the network of a run and the images that the explanation asks for.

    Raises:
        ValueError: the run has no intact checkpoint, or the device does not exist.

    """
    device = prepare(spec.threads, spec.device)
    restored = restore(run, device)
    data = _First(dataset(run.spec, spec.split), spec.images)
    batches = Batches(stack(data, run.spec.tasks, progress), restored.tasks, CHUNK, device)
    return ExplainedRun(restored.net, restored.tasks, batches, restored.step, len(data))
