"""What stays although it says nothing about the image: constants that no reader takes over, named with the reason.

A channel is constant in evaluation mode where a zero filter passes a batch norm. Its readers could do with a bias
instead. Where one can't take the constant over, the channel stays, exact and idle.
"""

import numpy as np

from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.records import Product
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.readers import LEAST_ONES, changeable


def constants_in_words(liveness: Liveness) -> dict[str, str]:
    """Return, by layer, how many constant channels it still reads as channels, and why."""
    able = changeable(liveness.graph)
    found = {}
    for product in liveness.graph.products:
        held = _constant(liveness, product)
        staying = held & liveness.kept[product.columns]
        if staying.any() and liveness.kept[product.rows].any():
            reason = _reason(liveness, product, product.result in able, int(held.sum()))
            found[product.layer] = f"{int(staying.sum())} constant: {reason}"
    return found


def _constant(liveness: Liveness, product: Product) -> Flags:
    """Return the columns that hold a constant other than zero which the layer uses."""
    seen = liveness.constants[product.result]
    held: Flags = np.isfinite(seen) & (np.nan_to_num(seen) != 0) & liveness.used[product.result]
    return held


def _reason(liveness: Liveness, product: Product, able: bool, held: int) -> str:
    if product.result in liveness.folded:
        return "something else needs the channel"
    if product.transposed:
        return "a transposed convolution makes no constant of a constant"
    if not able:
        return "the layer's weight is shared, or it is no plain module"
    if product.blocks > 1 and product.padded:
        return "a grouped convolution with padding takes no channel of ones"
    if product.padded and held < LEAST_ONES:
        return "a channel of ones would take as much"
    return "the padding makes no constant of a constant"
