"""From the fields of a data set to tasks."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from winnow.data.sample import Field, Kind
from winnow.engine.tasks.classification import Classification
from winnow.engine.tasks.depth import Depth
from winnow.engine.tasks.edges import Edges
from winnow.engine.tasks.normals import Normals
from winnow.engine.tasks.regression import Regression
from winnow.engine.tasks.segmentation import Segmentation
from winnow.engine.tasks.task import Task

TASKS: Mapping[Kind, Callable[[Field], Task]] = MappingProxyType(
    {
        "segmentation": Segmentation,
        "depth": Depth,
        "normals": Normals,
        "edges": Edges,
        "classification": Classification,
        "regression": Regression,
    }
)


def build_tasks(fields: Mapping[str, Field], names: Sequence[str]) -> dict[str, Task]:
    """Return the tasks of the named fields, in the order of `names`."""
    return {name: TASKS[fields[name].kind](fields[name]) for name in names}
