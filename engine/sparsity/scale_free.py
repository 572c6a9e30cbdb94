"""Which weights have a scale that the loss ignores: those of a convolution whose output goes straight to a batch norm.

For them loss(c W) = loss(W) for every c > 0 (van Laarhoven 2017), so that a penalty on the norm alone can fall at no
loss. `engine.sparsity.proximal.Kept` takes them as the weights that keep their norm.
"""

from torch import nn

from winnow.engine.graph.graph import ChannelGraph


def scale_free_weights(graph: ChannelGraph) -> list[nn.Parameter]:
    """Return the weights of all layers without bias that a batch norm follows, and nothing else reads."""
    layers = [(name, graph.model.get_submodule(name.rpartition(".")[0])) for name in graph.norms_after]
    return [graph.model.get_parameter(name) for name, layer in layers if getattr(layer, "bias", None) is None]
