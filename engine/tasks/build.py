"""From the fields of a data set to tasks: those of ours by kind, and those of the user's own code."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from winnow.data.blame import users_code
from winnow.data.code import Code
from winnow.data.sample import Field, Learner
from winnow.engine.specs.registry import entry
from winnow.engine.specs.tasks import TASKS
from winnow.engine.tasks.surroundings import surroundings_kept
from winnow.engine.tasks.task import Meter, Task

PROTOCOL = ("outputs", "counts", "loss", "meter", "constant", "mirror")


def build_tasks(fields: Mapping[str, Field], names: Sequence[str]) -> dict[str, Task]:
    """Return the tasks of the named fields, in the order of `names`.

    Raises:
        ValueError: no such field, or no task for fields of its kind.

    """
    return {name: _task(entry(fields, name, "tasks")) for name in names}


def _task(field: Field) -> Task:
    if field.learner is not None:
        return _own(field, field.learner)
    task: Task = entry(TASKS, field.kind, "kind").make.load()(field)
    return task


def _own(field: Field, learner: Learner) -> Task:
    """Return the task that the user's code makes of a field.

    Raises:
        ValueError: the code is not there, was not confirmed on this machine, or makes no task.

    """
    with surroundings_kept("task"):
        function = Code(learner.code, learner.path, "task").load()
        with users_code("task", learner.code):
            task: Task = function(replace(field, learner=None))
    if missing := [name for name in PROTOCOL if not hasattr(task, name)]:
        raise ValueError(
            f"`task` must be what engine.tasks.task.Task describes, got {learner.code} without {', '.join(missing)}."
        )
    if not isinstance(task.outputs, int) or task.outputs < 1:
        raise ValueError(f"`outputs` must be a whole number from 1 on, got {task.outputs!r} from {learner.code}.")
    return CheckedTask(task, field)


@dataclass(frozen=True)
class CheckedTask:
    """A task of the user's own, which knows by its field that it is one; its results are checked as they come."""

    made: Task
    field: Field

    @property
    def outputs(self) -> int:
        """How many numbers the network gives."""
        return self.made.outputs

    def counts(self, target: Tensor) -> Tensor:
        """Return what the loss divides by, (counts,)."""
        found = self.made.counts(target)
        if not isinstance(found, Tensor) or found.dim() != 1 or found.is_floating_point():
            raise ValueError(f"`counts` must return whole numbers, (counts,), got {found!r} from {self._code}.")
        return found

    def loss(self, prediction: Tensor, target: Tensor, counts: Tensor | None = None) -> Tensor:
        """Return the loss, or the share that these images have of it."""
        found = self.made.loss(prediction, target, counts)
        if not isinstance(found, Tensor) or found.dim():
            raise ValueError(f"`loss` must return one number as a tensor, got {found!r:.60} from {self._code}.")
        return found

    def meter(self) -> "CheckedMeter":
        """Return an empty meter."""
        return CheckedMeter(self.made.meter(), self._code, tuple(metric.name for metric in self._learner.metrics))

    def constant(self, target: Tensor) -> Tensor:
        """Return the best prediction that ignores the image, (outputs,)."""
        found = self.made.constant(target)
        if not isinstance(found, Tensor) or tuple(found.shape) != (self.outputs,):
            raise ValueError(f"`constant` must return ({self.outputs},) numbers, got {found!r} from {self._code}.")
        return found

    def mirror(self, target: Tensor) -> Tensor:
        """Return the targets of the images mirrored left to right."""
        return self.made.mirror(target)

    @property
    def _learner(self) -> Learner:
        if self.field.learner is None:
            raise ValueError("`field` must name the code that learns it, got none.")
        return self.field.learner

    @property
    def _code(self) -> str:
        return self._learner.code


class CheckedMeter:
    """The meter of a task of the user's own; it must compute the metrics that the task lists."""

    def __init__(self, made: Meter, code: str, names: tuple[str, ...]) -> None:
        self._made, self._code, self._names = made, code, names

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in one batch."""
        self._made.update(prediction, target)

    @property
    def sums(self) -> list[Tensor]:
        """What was gathered so far."""
        return self._made.sums

    def compute(self) -> dict[str, float]:
        """Return each metric by name."""
        found = self._made.compute()
        if set(found) != set(self._names):
            raise ValueError(
                f"`compute` must return the metrics {', '.join(self._names)}, got {', '.join(found) or 'none'} from "
                f"{self._code}."
            )
        return {name: float(found[name]) for name in self._names}
