"""Which weights live or die together: the one definition that penalty, count, plot and pruning share.

A *group* is a set of weights that the penalty shrinks as one and sets to zero as one. It is made of members: slices of
parameters along their channel axis (`engine.sparsity.groups.axis`). A *bank* holds the groups of one structure, so that
the arithmetic runs over all channels of a layer at once (`engine.sparsity.groups.bank`). Three ways to draw them:

- `input_groups`: W[:, i], all that a layer reads from its input channel i; the paper's (arXiv 2308.12114).
- `output_groups`: filter W[o], its bias, and the γ and β of the batch norm behind it.
- `coupled_groups`: all that writes and all that reads one channel of the model, so that a zero group can always go.
"""

from winnow.engine.sparsity.groups.axis import Axis, Group, Kind
from winnow.engine.sparsity.groups.bank import Bank, banks
from winnow.engine.sparsity.groups.coupled import coupled_groups
from winnow.engine.sparsity.groups.joint import Joint
from winnow.engine.sparsity.groups.layerwise import input_groups, output_groups, scale_free_weights

__all__ = [
    "Axis",
    "Bank",
    "Group",
    "Joint",
    "Kind",
    "banks",
    "coupled_groups",
    "input_groups",
    "output_groups",
    "scale_free_weights",
]
