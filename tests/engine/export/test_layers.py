"""Every layer of the list goes into a document and comes back, with arguments that are not the defaults."""

import json

import pytest
import torch
from torch import nn

from winnow.engine.export.allowed import FUNCTIONS, LAYERS, METHODS
from winnow.engine.export.layers import built, described
from winnow.engine.pruning.selecting import Gather, select_units

SIDE = {"1d": 3, "2d": (3, 2), "3d": (3, 2, 1)}
PAD = {"1d": (1, 2), "2d": (1, 2, 3, 0), "3d": (1, 2, 3, 0, 1, 1)}


def conv(dims: str, **options) -> dict[str, object]:
    return {"in_channels": 4, "out_channels": 6, "kernel_size": SIDE[dims], "stride": 2, "groups": 2, **options}


OWN_ARGUMENTS = {
    "Conv": lambda dims: conv(dims, padding=1, bias=False, padding_mode="circular"),
    "ConvTranspose": lambda dims: conv(dims, output_padding=1, dilation=2),
    "BatchNorm": lambda dims: {"num_features": 5, "eps": 1e-3, "momentum": None, "affine": False},
    "InstanceNorm": lambda dims: {"num_features": 5, "affine": True, "track_running_stats": True},
    "Linear": lambda _: {"in_features": 4, "out_features": 3, "bias": False},
    "GroupNorm": lambda _: {"num_groups": 2, "num_channels": 6, "eps": 1e-3},
    "LayerNorm": lambda _: {"normalized_shape": (4, 3), "bias": False},
    "RMSNorm": lambda _: {"normalized_shape": 4, "elementwise_affine": False},
    "LocalResponseNorm": lambda _: {"size": 3, "k": 2.0},
    "MaxPool": lambda dims: {"kernel_size": SIDE[dims], "dilation": 2, "ceil_mode": True},
    "AvgPool": lambda dims: {"kernel_size": 2, "stride": 1, "count_include_pad": False},
    "LPPool": lambda dims: {"norm_type": 3, "kernel_size": 2, "ceil_mode": True},
    "AdaptiveAvgPool": lambda dims: {"output_size": SIDE[dims]},
    "AdaptiveMaxPool": lambda dims: {"output_size": 3, "return_indices": True},
    "ConstantPad": lambda dims: {"padding": PAD[dims], "value": 1.5},
    **{f"{kind}Pad": lambda dims: {"padding": PAD[dims]} for kind in ("Zero", "Reflection", "Replication", "Circular")},
    **{f"{kind}Dropout": lambda _: {"p": 0.3} for kind in ("", "Alpha", "FeatureAlpha")},
    "Flatten": lambda _: {"start_dim": 2, "end_dim": 3},
    "Unflatten": lambda _: {"dim": 1, "unflattened_size": (2, 3)},
    "PixelShuffle": lambda _: {"upscale_factor": 2},
    "PixelUnshuffle": lambda _: {"downscale_factor": 2},
    "ChannelShuffle": lambda _: {"groups": 2},
    "Upsample": lambda _: {"scale_factor": (2.0, 3.0), "mode": "bilinear", "align_corners": True},
    "UpsamplingBilinear": lambda _: {"scale_factor": 2},
    "UpsamplingNearest": lambda _: {"size": 9},
    "Softmax": lambda dims: {} if dims else {"dim": 1},
    **{name: lambda _: {"dim": 1} for name in ("LogSoftmax", "Softmin", "GLU")},
    "PReLU": lambda _: {"num_parameters": 3},
    "Threshold": lambda _: {"threshold": 0.1, "value": 20.0},
    "LeakyReLU": lambda _: {"negative_slope": 0.3, "inplace": True},
    "ReLU": lambda _: {"inplace": True},
    "Hardtanh": lambda _: {"min_val": -2.0, "max_val": float("inf")},
    "GELU": lambda _: {"approximate": "tanh"},
    "Softplus": lambda _: {"beta": 2.0},
    "Hardshrink": lambda _: {"lambd": 0.3},
    "MaxUnpool": lambda dims: {"kernel_size": SIDE[dims], "stride": 2},
    "Embedding": lambda _: {"num_embeddings": 5, "embedding_dim": 3, "padding_idx": 2, "max_norm": 1.5},
    "LSTM": lambda _: {"input_size": 3, "hidden_size": 4, "num_layers": 2, "bidirectional": True, "proj_size": 2},
    "GRU": lambda _: {"input_size": 3, "hidden_size": 4, "bias": False, "batch_first": True, "dropout": 0.0},
    "RNN": lambda _: {"input_size": 3, "hidden_size": 4, "nonlinearity": "relu"},
    **{f"{kind}Cell": lambda _: {"input_size": 3, "hidden_size": 4, "bias": False} for kind in ("LSTM", "GRU", "RNN")},
    "MultiheadAttention": lambda _: {"embed_dim": 8, "num_heads": 2, "kdim": 6, "batch_first": True, "bias": False},
    "CosineSimilarity": lambda _: {"dim": 2, "eps": 1e-3},
    "Fold": lambda _: {"output_size": (4, 5), "kernel_size": 2},
    "Unfold": lambda _: {"kernel_size": (2, 3), "dilation": 2},
}
PLAIN = [name.rpartition(".")[2] for name in LAYERS if name.startswith("torch.nn.")]


@pytest.mark.parametrize("name", PLAIN)
def test_it_comes_back(name: str):
    dims = name[-2:] if name[-1] == "d" and name[-2].isdigit() else ""
    given = OWN_ARGUMENTS.get(name.removesuffix(dims), lambda _: {})(dims)
    layer = getattr(nn, name)(**given).eval()
    found = json.loads(json.dumps(described("here", layer)))
    again = built("here", found["class"], found["arguments"])
    assert (type(again), found["training"]) == (type(layer), False)
    assert str(again) == str(layer)  # torch shows every argument that matters
    attributes = {key: value for key, value in vars(layer).items() if not key.startswith("_") and key != "training"}
    assert {key: vars(again)[key] for key in attributes} == attributes
    tensors = {name: tensor.shape for name, tensor in [*layer.named_parameters(), *layer.named_buffers()]}
    assert {name: tensor.shape for name, tensor in [*again.named_parameters(), *again.named_buffers()]} == tensors
    assert all(tensor.is_meta for tensor in again.parameters())


@pytest.mark.parametrize("ones", [True, False])
@pytest.mark.parametrize("kind", [nn.Conv1d, nn.Conv2d, nn.Conv3d])
def test_a_selecting_layer_comes_back(kind: type, ones: bool):
    layer = kind(3 + ones, 2, 1)
    select_units(layer, torch.tensor([0, 4, 5]), ones, 1 - layer.weight.dim())
    found = described("here", layer)
    again = built("here", found["class"], found["arguments"])
    assert (type(again), again.ones, again.axis) == (type(layer), ones, layer.axis)
    assert again.index.shape == (3,)


def test_a_gather_and_a_selecting_linear_layer_come_back():
    for layer in (Gather(torch.tensor([2, 0]), 1), nn.Linear(3, 2)):
        if isinstance(layer, nn.Linear):
            select_units(layer, None, True, -1)
        found = described("here", layer)
        again = built("here", found["class"], found["arguments"])
        assert (type(again), again.axis) == (type(layer), layer.axis)


def test_nothing_on_the_list_reaches_beyond_tensors():
    words = {name.rpartition(".")[2] for name in FUNCTIONS} | METHODS
    wrong = {"load", "save", "from_file", "eval", "exec", "compile", "apply", "apply_", "map_", "set_", "share_memory_"}
    wrong |= {"numpy", "storage", "untyped_storage", "as_strided", "register_hook", "backward", "empty", "empty_like"}
    wrong |= {"new_empty", "attrgetter", "methodcaller", "call", "import_ir_module", "from_numpy", "frombuffer"}
    assert not words & wrong
    assert not [word for word in words if word.startswith("__")]
