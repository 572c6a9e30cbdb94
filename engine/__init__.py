"""The engine: train under group sparsity, remove exactly what became zero, and see which features each task uses.

What a script of one's own needs is exported here, and imported only when it is first used, so that `import
winnow.engine`, and any room that needs no torch, starts at once:

    from winnow.engine import GroupLasso, Proximal, compact, input_groups

The rooms, each above those that it may import; each says in its `__init__` where to start reading:

    specs                     what may be asked for            (no torch)
    runs                      the run folder                   (no torch)
    graph, tasks, networks    the channel graph of any model; what a task is; trunks and heads
    sparsity                  groups, penalties, proximal steps, strength
    pruning, export, measure  exact removal; models as files; what a model costs
    training, explain         the one training loop; which task relies on which channel
    studies                   many runs: plan, tables, scheduling    (no torch)
    jobs, cli                 what a worker process does; the command `winnow` (the command needs no torch)
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from winnow.engine.explain.circuits.circuits import task_circuits
    from winnow.engine.explain.circuits.tables import circuit_agreement
    from winnow.engine.explain.faithfulness import faithfulness
    from winnow.engine.explain.relevance.refusals import NotAttributableError
    from winnow.engine.explain.relevance.relevance import relevance
    from winnow.engine.explain.relevance.settings import Settings
    from winnow.engine.explain.usage import usage
    from winnow.engine.export.card import ModelFacts, model_card
    from winnow.engine.export.folding import folded
    from winnow.engine.export.onnx_file import export_onnx
    from winnow.engine.export.program_file import export_program
    from winnow.engine.export.refusal import MissingPackages, NotDescribable, NotRebuildable, NotSame
    from winnow.engine.export.saving import load_model, save_model
    from winnow.engine.graph.refusal import NotTraceable
    from winnow.engine.graph.trace import trace
    from winnow.engine.jobs.loop_values import RunStopped
    from winnow.engine.jobs.recording import record
    from winnow.engine.measure.bench import BenchSettings, bench
    from winnow.engine.measure.comparison import compare, speed_ups
    from winnow.engine.measure.counts import cost, layer_macs, macs, parameters, sparsity_table
    from winnow.engine.measure.memory import file_size, peak_memory
    from winnow.engine.measure.timing import Timing, latency
    from winnow.engine.pruning.certificate import Certificate, NotExact
    from winnow.engine.pruning.compact import Compacted, compact
    from winnow.engine.pruning.masking import silence
    from winnow.engine.pruning.optimiser import transfer
    from winnow.engine.pruning.repair import repair
    from winnow.engine.runs.run import Run, list_runs
    from winnow.engine.sparsity.counts import Counts
    from winnow.engine.sparsity.groups.axis import Group
    from winnow.engine.sparsity.groups.bank import Bank, banks
    from winnow.engine.sparsity.groups.coupled import coupled_groups
    from winnow.engine.sparsity.groups.layerwise import input_groups, output_groups
    from winnow.engine.sparsity.penalties import L1, GroupLasso, GroupMCP, Penalty, SparseGroupLasso
    from winnow.engine.sparsity.proximal import Kept, Proximal
    from winnow.engine.sparsity.strength import Scheduled, Targeted, strength_max

__all__ = [
    "L1",
    "Bank",
    "BenchSettings",
    "Certificate",
    "Compacted",
    "Counts",
    "Group",
    "GroupLasso",
    "GroupMCP",
    "Kept",
    "MissingPackages",
    "ModelFacts",
    "NotAttributableError",
    "NotDescribable",
    "NotExact",
    "NotRebuildable",
    "NotSame",
    "NotTraceable",
    "Penalty",
    "Proximal",
    "Run",
    "RunStopped",
    "Scheduled",
    "Settings",
    "SparseGroupLasso",
    "Targeted",
    "Timing",
    "banks",
    "bench",
    "circuit_agreement",
    "compact",
    "compare",
    "cost",
    "coupled_groups",
    "export_onnx",
    "export_program",
    "faithfulness",
    "file_size",
    "folded",
    "input_groups",
    "latency",
    "layer_macs",
    "list_runs",
    "load_model",
    "macs",
    "model_card",
    "output_groups",
    "parameters",
    "peak_memory",
    "record",
    "relevance",
    "repair",
    "save_model",
    "silence",
    "sparsity_table",
    "speed_ups",
    "strength_max",
    "task_circuits",
    "trace",
    "transfer",
    "usage",
]

_HOMES = MappingProxyType(
    {
        "explain.circuits.circuits": "task_circuits",
        "explain.circuits.tables": "circuit_agreement",
        "explain.faithfulness": "faithfulness",
        "explain.relevance.refusals": "NotAttributableError",
        "explain.relevance.relevance": "relevance",
        "explain.relevance.settings": "Settings",
        "explain.usage": "usage",
        "export.card": "ModelFacts model_card",
        "export.folding": "folded",
        "export.onnx_file": "export_onnx",
        "export.program_file": "export_program",
        "export.refusal": "MissingPackages NotDescribable NotRebuildable NotSame",
        "export.saving": "load_model save_model",
        "graph.refusal": "NotTraceable",
        "graph.trace": "trace",
        "jobs.loop_values": "RunStopped",
        "jobs.recording": "record",
        "measure.bench": "BenchSettings bench",
        "measure.comparison": "compare speed_ups",
        "measure.counts": "cost layer_macs macs parameters sparsity_table",
        "measure.memory": "file_size peak_memory",
        "measure.timing": "Timing latency",
        "pruning.certificate": "Certificate NotExact",
        "pruning.compact": "Compacted compact",
        "pruning.masking": "silence",
        "pruning.optimiser": "transfer",
        "pruning.repair": "repair",
        "runs.run": "Run list_runs",
        "sparsity.counts": "Counts",
        "sparsity.groups.axis": "Group",
        "sparsity.groups.bank": "Bank banks",
        "sparsity.groups.coupled": "coupled_groups",
        "sparsity.groups.layerwise": "input_groups output_groups",
        "sparsity.penalties": "GroupLasso GroupMCP L1 Penalty SparseGroupLasso",
        "sparsity.proximal": "Kept Proximal",
        "sparsity.strength": "Scheduled Targeted strength_max",
    }
)


def __getattr__(name: str) -> Any:
    """Import an exported name when it is first used (PEP 562)."""
    home = next((module for module, names in _HOMES.items() if name in names.split()), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the exported names and the modules imported so far."""
    return sorted({*globals(), *__all__})
