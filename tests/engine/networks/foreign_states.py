"""State dicts as torchvision and timm have them: all names and shapes, with random values.

They have the names and shapes of torchvision 0.29 and timm 1.0.31, whose features come out of our trunks with them
(checked once, without a test). The older names are written from their code.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
BLOCKS: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
}


def filled(shapes: Shapes) -> dict[str, Tensor]:
    torch.manual_seed(7)
    return {
        name: torch.zeros(shape, dtype=torch.int64)
        if name.endswith(("num_batches_tracked", "relative_position_index"))
        else torch.rand(shape) * 0.02
        for name, shape in shapes.items()
    }


def _norm(name: str, width: int) -> Shapes:
    vectors = dict.fromkeys([f"{name}.{part}" for part in ("weight", "bias", "running_mean", "running_var")], (width,))
    return {**vectors, f"{name}.num_batches_tracked": ()}


def _linear(name: str, outputs: int, inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _layer_norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def resnet(name: str, deep: bool = False) -> Shapes:
    """torchvision's and timm's `resnetNN`; with `deep`, timm's `resnetNNd`."""
    kind, blocks = BLOCKS[name]
    if deep:
        found: Shapes = {"conv1.0.weight": (32, 3, 3, 3), **_norm("conv1.1", 32), "conv1.3.weight": (32, 32, 3, 3)}
        found |= {**_norm("conv1.4", 32), "conv1.6.weight": (64, 32, 3, 3), **_norm("bn1", 64)}
    else:
        found = {"conv1.weight": (64, 3, 7, 7), **_norm("bn1", 64)}
    inputs = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        outputs = width if kind == "basic" else 4 * width
        for place in range(count):
            block = f"layer{stage + 1}.{place}"
            kernels = [(width, inputs, 3), (width, width, 3)]
            if kind == "bottleneck":
                kernels = [(width, inputs, 1), (width, width, 3), (outputs, width, 1)]
            for number, (out, into, side) in enumerate(kernels, 1):
                found |= {f"{block}.conv{number}.weight": (out, into, side, side), **_norm(f"{block}.bn{number}", out)}
            if place == 0 and (stage > 0 or kind == "bottleneck"):
                conv = int(deep)
                found |= {f"{block}.downsample.{conv}.weight": (outputs, inputs, 1, 1)}
                found |= _norm(f"{block}.downsample.{conv + 1}", outputs)
            inputs = outputs
    return {**found, **_linear("fc", 1000, inputs)}


def timm_vit(width: int) -> Shapes:
    """`vit_small_patch16_224` (384), `vit_base_patch16_224` (768)."""
    found: Shapes = {"cls_token": (1, 1, width), "pos_embed": (1, 197, width)}
    found |= {"patch_embed.proj.weight": (width, 3, 16, 16), "patch_embed.proj.bias": (width,)}
    for place in range(12):
        block = f"blocks.{place}"
        found |= {**_layer_norm(f"{block}.norm1", width), **_linear(f"{block}.attn.qkv", 3 * width, width)}
        found |= {**_linear(f"{block}.attn.proj", width, width), **_layer_norm(f"{block}.norm2", width)}
        found |= {**_linear(f"{block}.mlp.fc1", 4 * width, width), **_linear(f"{block}.mlp.fc2", width, 4 * width)}
    return {**found, **_layer_norm("norm", width), **_linear("head", 1000, width)}


def torchvision_vit(width: int = 768, older: bool = False) -> Shapes:
    """`vit_b_16`; before torchvision 0.13 the two layers of a block had other names."""
    first, second = ("linear_1", "linear_2") if older else ("0", "3")
    found: Shapes = {"class_token": (1, 1, width), "conv_proj.weight": (width, 3, 16, 16), "conv_proj.bias": (width,)}
    found["encoder.pos_embedding"] = (1, 197, width)
    for place in range(12):
        block = f"encoder.layers.encoder_layer_{place}"
        found |= _layer_norm(f"{block}.ln_1", width)
        found |= {f"{block}.self_attention.in_proj_weight": (3 * width, width)}
        found |= {f"{block}.self_attention.in_proj_bias": (3 * width,)}
        found |= {**_linear(f"{block}.self_attention.out_proj", width, width), **_layer_norm(f"{block}.ln_2", width)}
        found |= _linear(f"{block}.mlp.{first}", 4 * width, width)
        found |= _linear(f"{block}.mlp.{second}", width, 4 * width)
    return {**found, **_layer_norm("encoder.ln", width), **_linear("heads.head", 1000, width)}


def torchvision_swin() -> Shapes:
    """`swin_t`."""
    found: Shapes = {
        "features.0.0.weight": (96, 3, 4, 4),
        "features.0.0.bias": (96,),
        **_layer_norm("features.0.2", 96),
    }
    for stage, (depth, heads) in enumerate(zip((2, 2, 6, 2), (3, 6, 12, 24), strict=True)):
        width = 96 * 2**stage
        for place in range(depth):
            block = f"features.{2 * stage + 1}.{place}"
            found |= {
                **_layer_norm(f"{block}.norm1", width),
                f"{block}.attn.relative_position_bias_table": (169, heads),
            }
            found |= {f"{block}.attn.relative_position_index": (2401,)}
            found |= {**_linear(f"{block}.attn.qkv", 3 * width, width), **_linear(f"{block}.attn.proj", width, width)}
            found |= {**_layer_norm(f"{block}.norm2", width), **_linear(f"{block}.mlp.0", 4 * width, width)}
            found |= _linear(f"{block}.mlp.3", width, 4 * width)
        if stage < 3:
            merging = f"features.{2 * stage + 2}"
            found |= {
                f"{merging}.reduction.weight": (2 * width, 4 * width),
                **_layer_norm(f"{merging}.norm", 4 * width),
            }
    return {**found, **_layer_norm("norm", 768), **_linear("head", 1000, 768)}


def timm_swin(older: bool = False) -> Shapes:
    """`swin_tiny_patch4_window7_224`; before timm 0.9 (`older`) with tables, and merging at the end of a stage."""
    found: Shapes = {"patch_embed.proj.weight": (96, 3, 4, 4), "patch_embed.proj.bias": (96,)}
    found |= _layer_norm("patch_embed.norm", 96)
    for stage, (depth, heads) in enumerate(zip((2, 2, 6, 2), (3, 6, 12, 24), strict=True)):
        width = 96 * 2**stage
        for place in range(depth):
            block = f"layers.{stage}.blocks.{place}"
            found |= {
                **_layer_norm(f"{block}.norm1", width),
                f"{block}.attn.relative_position_bias_table": (169, heads),
            }
            if older:
                found |= {f"{block}.attn.relative_position_index": (49, 49)}
                found |= {f"{block}.attn_mask": (64 // 4**stage, 49, 49)} if place % 2 and stage < 3 else {}
            found |= {**_linear(f"{block}.attn.qkv", 3 * width, width), **_linear(f"{block}.attn.proj", width, width)}
            found |= {**_layer_norm(f"{block}.norm2", width), **_linear(f"{block}.mlp.fc1", 4 * width, width)}
            found |= _linear(f"{block}.mlp.fc2", width, 4 * width)
        if stage < 3:
            merging = f"layers.{stage if older else stage + 1}.downsample"
            found |= {
                **_layer_norm(f"{merging}.norm", 4 * width),
                f"{merging}.reduction.weight": (2 * width, 4 * width),
            }
    head = "head" if older else "head.fc"
    return {**found, **_layer_norm("norm", 768), **_linear(head, 1000, 768)}
