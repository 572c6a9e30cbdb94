"""Arguments as JSON and back: numbers, words, structures of them, and references to earlier results.

JSON has lists and strings; what else a program may pass is an object with one key, its kind:
`{"node": name}`, `{"tuple": […]}`, `{"dict": [[key, value], …]}`, `{"slice": [start, stop, step]}`, `{"ellipsis": 1}`,
`{"float": "inf"}`, `{"dtype": "float32"}`, `{"device": "cpu"}`, `{"memory_format": …}`, `{"layout": …}`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Any

import torch
from torch import fx

from winnow.engine.export.refusal import NotDescribable, NotRebuildable

DEEPEST = 16  # structures within structures
LARGEST = 2**31  # of a whole number: no size or place of a real program is beyond it
LONGEST = 256  # characters of a word
NAMED: dict[str, type] = {"dtype": torch.dtype, "memory_format": torch.memory_format, "layout": torch.layout}


@dataclass(frozen=True)
class Ref:
    """The result of an earlier node."""

    name: str


def encoded(value: Any) -> Any:
    """Return a value as JSON.

    Raises:
        NotDescribable: it is of a kind that a document does not hold.

    """
    if isinstance(value, fx.Node | Ref):
        return {"node": value.name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list):
        return [encoded(entry) for entry in value]
    if isinstance(value, tuple):
        return {"tuple": [encoded(entry) for entry in value]}
    return _encoded_object(value)


def _encoded_object(value: Any) -> Any:
    if isinstance(value, dict):
        return {"dict": [[encoded(key), encoded(entry)] for key, entry in value.items()]}
    if isinstance(value, slice):
        return {"slice": [encoded(value.start), encoded(value.stop), encoded(value.step)]}
    if isinstance(value, EllipsisType):
        return {"ellipsis": 1}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    for kind, of in NAMED.items():
        if isinstance(value, of):
            return {kind: str(value).removeprefix("torch.")}
    raise NotDescribable(
        f"`model` must pass only numbers, strings, sizes and tensors between its layers, got {type(value).__name__}."
    )


def decoded(value: Any, depth: int = 0) -> Any:
    """Return what a JSON value stands for, with a `Ref` for every node.

    Raises:
        NotRebuildable: it is none of the kinds, too large, or too deep.

    """
    if depth > DEEPEST:
        raise NotRebuildable(f"`arguments` must be nested at most {DEEPEST} deep, got more.")
    if isinstance(value, list):
        return [decoded(entry, depth + 1) for entry in value]
    if isinstance(value, dict):
        return _decoded_object(value, depth)
    too_large = isinstance(value, int) and abs(value) >= LARGEST
    if too_large or (isinstance(value, str) and len(value) > LONGEST):
        raise NotRebuildable(
            f"`arguments` must be numbers below {LARGEST} and text of at most {LONGEST} characters, "
            f"got {str(value)[:40]}."
        )
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise NotRebuildable(f"`arguments` must be JSON values, got {type(value).__name__}.")


def _decoded_object(value: dict[str, Any], depth: int) -> Any:
    (kind, content), *rest = list(value.items()) or [("", None)]
    if rest or kind not in KINDS:
        raise NotRebuildable(f"`arguments` must be of the kinds {', '.join(KINDS)}, got {list(value)[:3]}.")
    try:
        return KINDS[kind](content, depth)
    except NotRebuildable:
        raise
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise NotRebuildable(f"`arguments` must hold a {kind}, got {str(content)[:40]!r}.") from error


def _word(content: Any) -> str:
    if not isinstance(content, str) or len(content) > LONGEST:
        raise TypeError
    return content


def _listed(content: Any, depth: int) -> list[Any]:
    if not isinstance(content, list):
        raise TypeError
    return [decoded(entry, depth + 1) for entry in content]


def _pairs(content: Any, depth: int) -> dict[Any, Any]:
    pairs = [_listed(pair, depth) for pair in content]
    if any(not isinstance(key, str | int) for key, _ in pairs):
        raise TypeError
    return dict(pairs)


def _number(content: Any, _: int) -> float:
    if content not in ("inf", "-inf", "nan"):
        raise ValueError
    return float(content)


def _one_of(kind: str) -> Callable[[Any, int], Any]:
    """Return the reader of a torch constant of one kind, which looks at torch's own names alone."""
    known = {
        str(value).removeprefix("torch."): value for value in vars(torch).values() if isinstance(value, NAMED[kind])
    }

    def read(content: Any, _: int) -> Any:
        if _word(content) not in known:
            raise ValueError
        return known[content]

    return read


KINDS: dict[str, Callable[[Any, int], Any]] = {
    "node": lambda content, _: Ref(_word(content)),
    "tuple": lambda content, depth: tuple(_listed(content, depth)),
    "dict": _pairs,
    "slice": lambda content, depth: slice(*(_listed(content, depth) if len(content) == 3 else [])),
    "ellipsis": lambda content, _: ...,
    "float": _number,
    "device": lambda content, _: torch.device(_word(content)),
    **{kind: _one_of(kind) for kind in NAMED},
}


def filled(template: Any, values: Mapping[str, Any]) -> Any:
    """Return a template with every `Ref` replaced by its value."""
    if isinstance(template, Ref):
        return values[template.name]
    if isinstance(template, tuple | list):
        return type(template)([filled(entry, values) for entry in template])
    if isinstance(template, dict):
        return {key: filled(entry, values) for key, entry in template.items()}
    if isinstance(template, slice):
        return slice(*(filled(part, values) for part in (template.start, template.stop, template.step)))
    return template


def refs(template: Any) -> list[str]:
    """Return the names of the nodes that a template refers to."""
    if isinstance(template, Ref):
        return [template.name]
    if isinstance(template, slice):
        return refs([template.start, template.stop, template.step])
    entries = (
        template.values() if isinstance(template, dict) else template if isinstance(template, tuple | list) else ()
    )
    return [name for entry in entries for name in refs(entry)]
