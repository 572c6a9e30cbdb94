"""From the fields of a data set to tasks."""

from collections.abc import Mapping, Sequence

from winnow.data.sample import Field
from winnow.engine.specs.registry import entry
from winnow.engine.specs.tasks import TASKS
from winnow.engine.tasks.task import Task


def build_tasks(fields: Mapping[str, Field], names: Sequence[str]) -> dict[str, Task]:
    """Return the tasks of the named fields, in the order of `names`.

    Raises:
        ValueError: no such field, or no task for fields of its kind.

    """
    return {name: _task(entry(fields, name, "tasks")) for name in names}


def _task(field: Field) -> Task:
    task: Task = entry(TASKS, field.kind, "kind").make.load()(field)
    return task
