"""What a network costs and how sparse it is: parameters, MACs, zero groups, bytes, seconds; several models at once."""

from winnow.engine.measure.comparison import compare, speed_ups
from winnow.engine.measure.counts import cost, layer_macs, macs, parameters
from winnow.engine.measure.memory import peak_memory
from winnow.engine.measure.size import file_size
from winnow.engine.measure.timing import STEADY, Timing, latency
from winnow.engine.measure.zeros import sparsity

__all__ = [
    "STEADY",
    "Timing",
    "compare",
    "cost",
    "file_size",
    "latency",
    "layer_macs",
    "macs",
    "parameters",
    "peak_memory",
    "sparsity",
    "speed_ups",
]
