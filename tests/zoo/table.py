"""`python -m tests.zoo.table docs/networks.md` (or `make zoo`): what comes of every network of the zoo, as a page."""

import statistics
import sys
import warnings
from pathlib import Path
from types import ModuleType

import torch

from tests.zoo.beside import removed_share, torch_pruning, trace_ratio
from tests.zoo.catalogue import ZOO, build
from tests.zoo.hugging import hugging
from tests.zoo.measuring import KINDS, Row, SilentlyWrong, measure, silence
from winnow.engine.graph.trace import trace
from winnow.engine.measure.counts import parameters
from winnow.engine.pruning import compact

BESIDE = (  # Torch-Pruning's passes over the rest would take most of an hour
    "VGG 16 BN", "ResNet 18", "DenseNet", "MobileNet v2", "ShuffleNet v2", "ConvNeXt", "ViT", "Swin", "SegFormer",
    "U-Net++", "DeepLabV3+", "MTAN", "MMoE", "GCN", "BERT", "Denoising diffusion",
)  # fmt: skip
TIED = ("ViT", "Swin", "SegFormer", "ConvNeXt", "MMoE")
INTRODUCTION = """# Networks

This page shows how Winnow groups and removes the channels of {count} public architectures at small widths. They were
written from their papers, or come from `transformers`. `make zoo` writes this page.

A *group* is a channel of one layer, a *head* of attention, or a channel of a residual *stream* (with all layers that
write or read it). Half of the groups of every structure, drawn at random, are set to zero. `compact` then removes what
is zero. The smaller network is compared with the original in float64, in evaluation mode and in training mode, at batch
sizes and input sizes that neither saw before. Code that asks for float32 gets float64 in it. *Difference* is the
largest one, relative to the output; *calls* is the number of calls that were compared.

| | |
|---|---|
"""
HEAD = """
| network | channels | heads | streams | zero | removed | MACs left | difference | calls | what stays, and why |{theirs}
|---|---|---|---|---|---|---|---|---|---|{line}
"""


def main(place: Path) -> None:
    """Measure every network, and write the page."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    tp, rows, beside, ratios, wrong = torch_pruning(), list[Row](), dict[str, str](), list[float](), list[str]()
    ZOO.update(hugging())
    for name in ZOO:
        sys.stderr.write(f"{name}\n")
        try:
            rows.append(measure(name))
        except (SilentlyWrong, RuntimeError) as error:
            wrong.append(f"{name}: {error}")
    place.write_text(page(rows, beside, ratios, wrong))
    for name in BESIDE if tp is not None else ():
        sys.stderr.write(f"beside: {name}\n")
        beside[name] = _beside(tp, name, ratios)
        place.write_text(page(rows, beside, ratios, wrong))


def _beside(tp: ModuleType, name: str, ratios: list[float]) -> str:
    net, example = build(name), ZOO[name].example()
    silence(net, trace(net, example))
    if ratio := trace_ratio(tp, net, example[0]):
        ratios.append(ratio)
    return removed_share(tp, net, example[0], parameters(compact(net, example, gather="never").model))


def page(rows: list[Row], beside: dict[str, str], ratios: list[float], wrong: list[str]) -> str:
    """Return the page: totals, then one table for each family."""
    lines = [f"| {name} | {value} |" for name, value in _totals(rows, beside, ratios, wrong)]
    text = INTRODUCTION.format(count=len(rows) + len(wrong)) + "\n".join(lines) + "\n"
    for family in dict.fromkeys(ZOO[row.name].family for row in rows):
        text += f"\n## {family.capitalize()}\n"
        text += HEAD.format(theirs=" Torch-Pruning |" if beside else "", line="---|" if beside else "")
        text += "".join(_line(row, beside) for row in rows if ZOO[row.name].family == family)
    if beside:
        text += """
The last column is the share of the parameters removed by Winnow that Torch-Pruning 1.6.1 removes, given the same zeros.
Torch-Pruning was not told the number of heads of any network.
"""
    return text


def _totals(rows: list[Row], beside: dict[str, str], ratios: list[float], wrong: list[str]) -> list[tuple[str, str]]:
    count = len(rows) + len(wrong)
    whole = [row for row in rows if row.exact and row.removed.total() == row.zero.total()]
    tied = [row for row in rows if row.name in TIED]
    zero, removed = (sum(counts) for counts in ([r.zero.total() for r in tied], [r.removed.total() for r in tied]))
    found = [
        ("silently wrong", f"{len(wrong)} of {count}" + "".join(f"; {text}" for text in wrong)),
        ("traced with groups", f"{sum(row.traced for row in rows)} of {count}"),
        ("compacted exactly", f"{sum(row.exact for row in rows)} of {count}"),
        ("all that was zero removed", f"{len(whole)} of {count}"),
        ("largest difference in evaluation mode", f"{max((row.error for row in rows), default=0.0):.0e}"),
        ("largest difference in training mode", f"{max((row.training or 0.0 for row in rows), default=0.0):.0e}"),
        (f"zero groups removed of {', '.join(TIED)}", f"{removed} of {zero}"),
    ]
    if beside:
        equal = sum(share.endswith("%") for share in beside.values())
        found.append(("Torch-Pruning gives the same outputs on", f"{equal} of {len(beside)}"))
    if ratios:
        found.append(("time of the trace ÷ Torch-Pruning's graph, median", f"{statistics.median(ratios):.1f}"))
    return found


def _line(row: Row, beside: dict[str, str]) -> str:
    why = (row.refused or row.pinned)[:300]
    why = why.replace("|", "\\|").replace("\n", " ")
    cells = [
        row.name,
        *(str(row.groups[kind] or "") for kind in KINDS),
        str(row.zero.total()),
        str(row.removed.total()),
    ]
    left = f"{row.after / row.before:.0%}" if row.exact and row.before == row.before else ""
    cells += [left, f"{row.error:.0e}" if row.exact else "", str(row.compared or ""), why]
    cells += [beside.get(row.name, "")] if beside else []
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
