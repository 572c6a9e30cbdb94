"""What the registries are made of: a plain mapping {name: what there is to know about a kind}, read by all who need it.

| registry                           | a kind of                  | read by                                 |
|------------------------------------|----------------------------|-----------------------------------------|
| `data.catalog.DATASETS`            | data set                   | command line, forms, pages, worker      |
| `data.kinds.KINDS`                 | target                     | data sets, worker                       |
| `engine.specs.network.NETWORKS`    | network                    | command line, forms, worker             |
| `engine.specs.penalty.PENALTIES`   | penalty                    | command line, forms, worker             |
| `engine.specs.tasks.TASKS`         | task, with its metrics     | worker, pages                           |
| `engine.specs.jobs.JOBS`           | job                        | command line, worker                    |

This room is free of torch. So an entry names the class or function that does the work (`Reference`), and only the
worker imports it. An unknown name is an error that lists what there is; nothing falls through to a default.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, TypeVar

from pydantic import BaseModel, BeforeValidator

Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Reference:
    """A class or a function by module and name: imported when it is needed."""

    module: str
    name: str

    def load(self) -> Any:
        """Import the module and return what is called so in it."""
        return getattr(import_module(self.module), self.name)


def entry(registry: Mapping[str, Kind], name: object, parameter: str) -> Kind:
    """Return the entry called `name`.

    Raises:
        ValueError: there is none; the message names the parameter and lists the names there are.

    """
    if not isinstance(name, str) or name not in registry:
        raise ValueError(f"`{parameter}` must be one of {', '.join(registry)}, got {name!r}.")
    return registry[name]


def chosen_by(key: str, registry: Mapping[str, type[BaseModel]], default: str) -> BeforeValidator:
    """Return the validator of a field whose spec class is chosen by the value of `key` in it, `default` without one."""

    def chosen(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return entry(registry, value.get(key, default), key).model_validate(value)

    return BeforeValidator(chosen)
