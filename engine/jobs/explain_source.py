"""What an explanation looks at: a run's network as its newest whole checkpoint left it, and images of its data."""

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
class Source:
    """A network, its tasks, the images, and the step of the checkpoint."""

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
        """As the whole is called."""
        return self.whole.name

    @property
    def fields(self) -> dict[str, Field]:
        """As in the whole."""
        return dict(self.whole.fields)

    def __len__(self) -> int:
        return min(self.length, len(self.whole))

    def sample(self, index: int) -> Sample:
        """Return the same sample as the whole."""
        return self.whole.sample(index)


def source(run: Run, spec: ExplainSpec, progress: Callable[[int, int], None] | None = None) -> Source:
    """Return the network of a run and the images that the explanation asks for.

    Raises:
        ValueError: the run has no checkpoint that is whole, or the device is not there.

    """
    device = prepare(spec.threads, spec.device)
    restored = restore(run, device)
    data = _First(dataset(run.spec, spec.split), spec.images)
    batches = Batches(stack(data, run.spec.tasks, progress), restored.tasks, CHUNK, device)
    return Source(restored.net, restored.tasks, batches, restored.step, len(data))
