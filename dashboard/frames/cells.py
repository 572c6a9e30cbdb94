"""What can be selected in a map: one cell, a channel of a layer, of one of three kinds.

| kind      | the cell `channel` of `layer`                                                                     |
|-----------|---------------------------------------------------------------------------------------------------|
| `input`   | the input channel of the layer, as it reads it                                                    |
| `output`  | the filter of the layer, with what it makes                                                       |
| `coupled` | the channel of a space, made and read by all layers that share it; `layer` is the space's name    |

The same two words mean other weights in another kind. Which input channels a filter feeds is not in the run folder
(`tables/channels` counts the readers of a channel, and does not name them), so no cell is translated to another kind.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

from winnow.engine.runs.norm_log import Layer

Kind = Literal["input", "output", "coupled"]
KINDS: tuple[Kind, ...] = get_args(Kind)
NOUNS: dict[Kind, str] = {"input": "input channel", "output": "filter", "coupled": "channel"}


@dataclass(frozen=True)
class Cell:
    """One channel of one layer, of a kind."""

    layer: str
    channel: int
    kind: Kind = "input"

    def __str__(self) -> str:
        """Name it as on every page: stem, filter 3."""
        return f"{self.layer}, {NOUNS[self.kind]} {self.channel}"


def known(layer: str, channel: str, kind: Kind, layers: Iterable[Layer]) -> Cell | None:
    """Return the cell that two texts describe; None unless one of the layers is called so and is wide enough."""
    widths = {known.name: known.groups for known in layers}
    if not re.fullmatch(r"[0-9]{1,9}", channel) or int(channel) >= widths.get(layer, 0):
        return None
    return Cell(layer, int(channel), kind)
