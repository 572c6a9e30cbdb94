"""Pruning that is exact and proves it: zeros in the weights become a smaller model with the same outputs.

`compact` removes every channel that nothing needs, by dead-channel elimination on the channel graph
(`engine.graph`), and compares the result with the original in float32 and float64 before it returns it.
May import: graph, sparsity, tasks, networks.
Start at `engine.pruning.compact`.
"""

from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.pruning.certificate import Certificate, NotExact
from winnow.engine.pruning.compact import Compacted, compact
from winnow.engine.pruning.cost import Coefficients
from winnow.engine.pruning.optimiser import transfer

__all__ = ["Certificate", "Coefficients", "Compacted", "NotExact", "NotTraceable", "compact", "transfer"]
