"""Sizes that stand in a program or in a module besides the shapes of the weights, put right after a removal.

Only sizes of the channel axis change: the lengths of a split, the ends of a slice, the numbers in a view. A size that
was computed (`c // 2`) is left to its computation; whoever copies the program checks what came out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn

from winnow.engine.graph.carriers import Carrier
from winnow.engine.graph.partition import Labels
from winnow.engine.graph.weights import Flags
from winnow.engine.pruning.selecting import Zeros, fit_attention, fit_group_norm, fit_norm, fit_own_norms, slow_paths

SPLITS = ("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
RESHAPES = ("view", "reshape", "expand", "broadcast_to", "unflatten")
PLACES = ("narrow", "select")
BLOCKS = {"conv1d": 6, "conv2d": 6, "conv3d": 6, "conv_transpose1d": 6, "conv_transpose2d": 6, "conv_transpose3d": 6}


@dataclass(frozen=True, eq=False)
class SizeCheck:
    """A node with the tensors that it takes and gives, as they were; `kept` says which channels stay."""

    node: fx.Node
    sources: tuple[Carrier, ...]
    results: tuple[Carrier, ...]
    kept: Flags
    expected: Callable[[Carrier], tuple[int, ...] | None]
    entered: bool  # whether it made tensors of its own, and is no part of a tuple
    value: Callable[[fx.Node], Any]  # what a copied node gives in the smaller model

    @property
    def shrinks(self) -> bool:
        """Whether one of its tensors loses channels."""
        return any(not self.kept[carrier.labels].all() for carrier in (*self.sources, *self.results))

    def stays(self, axis: int) -> Flags | None:
        """Return which entries of the first source's axis stay, None where all do."""
        labels = self.sources[0].labels
        if labels.shape[axis] == 1 or (flags := self.kept[labels].ravel()).all():
            return None
        return flags


def size_name(node: fx.Node) -> str:
    """Return the name of a function or method."""
    return getattr(node.target, "__name__", str(node.target))


def resize(copied: fx.Node, sized: SizeCheck) -> None:
    """Put the sizes in a copied node right."""
    name = size_name(copied)
    if not sized.sources or not sized.results:
        return
    if name in SPLITS:
        _resize_split(copied, sized)
    elif name == "getitem" and sized.entered:
        _resize_slice(copied, sized)
    elif name in PLACES:
        _resize_place(copied, sized)
    elif name in RESHAPES:
        _resize_shape(copied, sized)
    elif name in BLOCKS:
        _resize_blocks(copied, sized)


def fit_norms(model: nn.Module, stays: Mapping[str, Mapping[int, Labels]]) -> None:
    """Let group norms know which of their channels stay, {parameter: {axis: entries}}."""
    for path, module in model.named_modules():
        entries = stays.get(f"{path}.weight".lstrip("."), {}).get(0)
        if isinstance(module, nn.GroupNorm) and entries is not None:
            fit_group_norm(module, entries)


def fit_layers(model: nn.Module, whole: nn.Module | None = None) -> None:
    """Give every layer of a model the sizes that its weights have; `whole` is the model that it was cut from."""
    if whole is not None:
        fit_own_norms(model, whole)
    for module in model.modules():
        fit(module)
    slow_paths(model)


def fit(module: nn.Module, source: tuple[int, ...] | None = None) -> None:
    """Give a layer the sizes that its weights have; `source` is the shape of its input, for norms without weights."""
    layer: Any = module
    weight: Any = getattr(layer, "weight", None)
    if isinstance(module, nn.modules.conv._ConvNd):
        rows, columns = weight.shape[:2]
        if layer.groups > 1 and layer.groups == layer.in_channels:  # depthwise: a block per channel
            layer.groups = rows * layer.groups // (layer.in_channels if layer.transposed else layer.out_channels)
        sizes = (rows, columns * layer.groups)
        layer.in_channels, layer.out_channels = sizes if layer.transposed else sizes[::-1]
    elif isinstance(module, nn.Linear):
        layer.out_features, layer.in_features = weight.shape
    elif isinstance(module, nn.Embedding | nn.EmbeddingBag):
        layer.num_embeddings, layer.embedding_dim = weight.shape
    elif isinstance(module, nn.PReLU):
        layer.num_parameters = weight.numel()
    else:
        _fit_other(module, source)


def _fit_other(module: nn.Module, source: tuple[int, ...] | None) -> None:
    layer: Any = module
    if isinstance(module, nn.MultiheadAttention):
        fit_attention(module)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        fit_norm(module)
    elif type(module) is nn.Transformer and any(width != layer.d_model for width in _widths(module)):
        layer.__class__ = NarrowTransformer
    elif isinstance(module, nn.RNNBase):
        layer.input_size = layer.weight_ih_l0.shape[1]
        layer.hidden_size = layer.hidden_size if layer.proj_size else layer.weight_hh_l0.shape[1]
    elif isinstance(module, nn.RNNCellBase):
        layer.hidden_size, layer.input_size = layer.weight_hh.shape[1], layer.weight_ih.shape[1]
    elif isinstance(module, nn.modules.batchnorm._NormBase):
        layer.num_features = _features(layer, source)


class NarrowTransformer(nn.Transformer):
    """A transformer of torch whose two streams have other widths than `d_model`, each its own."""

    def forward(self, src: Tensor, tgt: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return what the decoder gives; takes what `torch.nn.Transformer` takes."""
        given = dict(zip(MASKS, args, strict=False)) | kwargs
        source = {"mask": given.get("src_mask"), "is_causal": given.get("src_is_causal")}
        memory = self.encoder(src, src_key_padding_mask=given.get("src_key_padding_mask"), **source)
        rest = {name: given[name] for name in MASKS if name in given and not name.startswith("src")}
        return self.decoder(tgt, memory, **rest)


MASKS = (
    "src_mask", "tgt_mask", "memory_mask", "src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask",
    "src_is_causal", "tgt_is_causal", "memory_is_causal",
)  # fmt: skip


def _widths(transformer: nn.Transformer) -> list[int]:
    """Return the widths of the streams of the encoder and the decoder, those of torch's own kind."""
    layers = [part for part in transformer.modules() if type(part) in LAYERS]
    return [len(part.linear2.weight) for part in layers if isinstance(part.linear2, nn.Linear)]


LAYERS = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)


def _features(norm: Any, source: tuple[int, ...] | None) -> int:
    known = norm.weight if norm.weight is not None else norm.running_mean
    if known is not None:
        return len(known)
    if source is None or not isinstance(norm, nn.modules.instancenorm._InstanceNorm):
        return int(norm.num_features)
    channels: Any = norm
    return int(source[-channels._get_no_batch_dim()])


def settle(module: nn.Module, sized: SizeCheck) -> None:
    """Make the sizes that a layer holds agree with its smaller weights and input."""
    fit(module, sized.expected(sized.sources[0]) if sized.sources else None)
    if isinstance(module, Zeros) and (shape := sized.expected(sized.results[0])) is not None:
        module.width = shape[-1]
    if isinstance(module, nn.Unflatten) and sized.shrinks:
        _settle_unflatten(module, sized)


def _settle_unflatten(layer: Any, sized: SizeCheck) -> None:
    expected = sized.expected(sized.results[0])
    start = layer.dim % len(sized.sources[0].shape)
    if expected is not None and -1 not in layer.unflattened_size:
        layer.unflattened_size = expected[start : start + len(layer.unflattened_size)]


def _argument(node: fx.Node, place: int, name: str, default: Any = None) -> Any:
    return node.args[place] if place < len(node.args) else node.kwargs.get(name, default)


def _resize_split(copied: fx.Node, sized: SizeCheck) -> None:
    axis = _argument(copied, 2, "dim", 0)
    if not isinstance(axis, int) or sized.stays(axis % len(sized.sources[0].shape)) is None:
        return
    shapes = [sized.expected(carrier) for carrier in sized.results]
    lengths = [shape[axis] for shape in shapes if shape is not None]
    copied.op, copied.target = "call_function", torch.split
    copied.args, copied.kwargs = (copied.args[0], lengths, axis), {}


def _resize_slice(copied: fx.Node, sized: SizeCheck) -> None:
    """Move the ends of x[…, a:b, …], or the place of x[…, i, …]."""
    index = copied.args[1] if isinstance(copied.args[1], tuple) else (copied.args[1],)
    entries, missing = [], len(sized.sources[0].shape) - sum(entry not in (None, Ellipsis) for entry in index)
    axis = 0
    for entry in index:
        entries.append(_moved_entry(entry, sized, axis) if entry not in (None, Ellipsis) else entry)
        axis += missing if entry is Ellipsis else entry is not None
    copied.args = (copied.args[0], tuple(entries))


def _moved_entry(entry: Any, sized: SizeCheck, axis: int) -> Any:
    stays = sized.stays(axis) if axis < len(sized.sources[0].shape) else None
    if stays is None:
        return entry
    if isinstance(entry, int):
        return int(stays[: entry % len(stays)].sum())
    plain = isinstance(entry, slice) and all(isinstance(p, int | None) for p in (entry.start, entry.stop, entry.step))
    if not plain or entry == slice(None) or entry.step not in (None, 1):
        return entry
    places = range(len(stays))[entry]
    start = int(stays[: places.start].sum())
    return slice(start, start + int(stays[places.start : places.stop].sum()))


def _resize_place(copied: fx.Node, sized: SizeCheck) -> None:
    axis, start = _argument(copied, 1, "dim"), _argument(copied, 2, "start", copied.kwargs.get("index"))
    stays = sized.stays(axis % len(sized.sources[0].shape)) if isinstance(axis, int) else None
    if stays is None or not isinstance(start, int):
        return
    start %= len(stays)
    moved = (copied.args[0], axis, int(stays[:start].sum()))
    length = _argument(copied, 3, "length")
    if size_name(copied) == "select":
        copied.args, copied.kwargs = moved, {}
    elif isinstance(length, int):
        copied.args, copied.kwargs = (*moved, int(stays[start : start + length].sum())), {}


def _resize_shape(copied: fx.Node, sized: SizeCheck) -> None:
    """Replace the sizes of the result that change, and a computed one of them by −1; the other sizes stay."""
    before, after = sized.results[0].shape, sized.expected(sized.results[0])
    first = 2 if size_name(copied) == "unflatten" else 1
    given = copied.args[first:] if len(copied.args) > first else tuple(copied.kwargs.values())[-1:]
    packed = len(given) == 1 and isinstance(given[0], tuple | list)
    sizes: Any = given[0] if packed else given
    whole = len(given) == 1 and isinstance(given[0], fx.Node)  # a torch.Size, which is computed
    if after is None or whole or not all(isinstance(size, int | fx.Node) for size in sizes):
        return
    start = _argument(copied, 1, "dim") % len(sized.sources[0].shape) if first == 2 else 0
    shapes = list(zip(before, after, strict=True))[start : start + len(sizes)]
    new: list[Any] = []
    for size, (was, now) in zip(sizes, shapes, strict=True):
        new.append(_resized(size, (was, now), sized, -1 in (*sizes, *new)))
    axis = (copied.args[1:2] or (copied.kwargs["dim"],)) if first == 2 else ()
    copied.args, copied.kwargs = (copied.args[0], *axis, tuple(new)), {}


def _resized(size: Any, change: tuple[int, int], sized: SizeCheck, open_elsewhere: bool) -> Any:
    """Return a size as it is to be: a computed one that comes out otherwise is left open, or becomes a number."""
    was, now = change
    if isinstance(size, int):
        return now if size == was else size
    if sized.value(size) == now:
        return size
    return now if open_elsewhere or was == now else -1


def _resize_blocks(copied: fx.Node, sized: SizeCheck) -> None:
    """Give a depthwise convolution as a function as many blocks as it has channels."""
    place, blocks = BLOCKS[size_name(copied)], _argument(copied, BLOCKS[size_name(copied)], "groups", 1)
    axis = 1 - len(sized.sources[1].shape)
    if not isinstance(blocks, int) or blocks == 1 or blocks != sized.sources[0].shape[axis]:
        return
    expected = sized.expected(sized.sources[0])
    if expected is None:
        return
    if place < len(copied.args):
        copied.args = (*copied.args[:place], expected[axis], *copied.args[place + 1 :])
    else:
        copied.kwargs = {**copied.kwargs, "groups": expected[axis]}
