"""Weights of torchvision and timm for trunks of ours: their names, translated.

Each function takes the names in a file and returns {their name: ours, within the trunk}; {} where the file is of
neither library. A classifier (`fc`, `head`, `heads`) and tables that follow from the code (`IGNORED`) have no
place in a trunk, and are left out. All tensors have the same layout in both libraries and here: q, k and v packed in
this order, rows of an attention bias by (row, column) offset, merged neighbours column by column.

The names are those of torchvision 0.15 to 0.24 (`resnet18` …, `vit_b_16`, `swin_t`) and timm 0.6 to 1.0 (`resnet18` …,
`resnet50d` …, `vit_small_patch16_224`, `vit_base_patch16_224`, `swin_tiny_patch4_window7_224`).
"""

import re
from collections.abc import Callable, Iterable, Sequence

CLASSIFIER = re.compile(r"^(fc|heads?)\.")
IGNORED = re.compile(r"(relative_position_index|attn_mask)$")  # of Swin: they follow from the window
Rule = tuple[str, str | Callable[[re.Match[str]], str]]
BLOCK = r"layer(\d)\.(\d+)\."


def resnet_names(names: Iterable[str]) -> dict[str, str]:
    """Translate the names of a ResNet, or of a ResNet-D (timm), whose stem is three convolutions."""
    found = list(names)
    deep = "conv1.0.weight" in found
    stem: list[Rule] = (
        [(r"conv1\.0\.", "stem.0.0."), (r"conv1\.1\.", "stem.0.1."), (r"conv1\.3\.", "stem.2.0."),
         (r"conv1\.4\.", "stem.2.1."), (r"conv1\.6\.", "stem.4.0."), (r"bn1\.", "stem.4.1.")]
        if deep
        else [(r"conv1\.", "stem.0.0."), (r"bn1\.", "stem.0.1.")]
    )  # fmt: skip
    blocks: list[Rule] = [
        (BLOCK + r"conv(\d)\.", lambda own: f"stages.{int(own[1]) - 1}.{own[2]}.conv{own[3]}.0."),
        (BLOCK + r"bn(\d)\.", lambda own: f"stages.{int(own[1]) - 1}.{own[2]}.conv{own[3]}.1."),
        (BLOCK + r"downsample\.(\d)\.", lambda own: f"stages.{int(own[1]) - 1}.{own[2]}.around.{own[3]}."),
    ]
    return _translated(found, "layer1.0.conv1.weight", [*stem, *blocks])


def vit_names(names: Iterable[str]) -> dict[str, str]:
    """Translate the names of a ViT of timm, or of torchvision."""
    found = list(names)
    timm: list[Rule] = [
        (r"cls_token$", "first"),
        (r"pos_embed$", "places"),
        (r"patch_embed\.proj\.", "embed."),
        (r"blocks\.(\d+)\.(norm1|norm2|attn\.qkv|attn\.proj)\.", r"blocks.\1.\2."),
        (r"blocks\.(\d+)\.mlp\.fc1\.", r"blocks.\1.mlp.0."),
        (r"blocks\.(\d+)\.mlp\.fc2\.", r"blocks.\1.mlp.2."),
        (r"norm\.", "norm."),
    ]
    layer = r"encoder\.layers\.encoder_layer_(\d+)\."
    torchvision: list[Rule] = [
        (r"class_token$", "first"),
        (r"encoder\.pos_embedding$", "places"),
        (r"conv_proj\.", "embed."),
        (layer + r"ln_([12])\.", r"blocks.\1.norm\2."),
        (layer + r"self_attention\.in_proj_", r"blocks.\1.attn.qkv."),
        (layer + r"self_attention\.out_proj\.", r"blocks.\1.attn.proj."),
        (layer + r"mlp\.(?:0|linear_1)\.", r"blocks.\1.mlp.0."),
        (layer + r"mlp\.(?:3|linear_2)\.", r"blocks.\1.mlp.2."),
        (r"encoder\.ln\.", "norm."),
    ]
    return _translated(found, "blocks.0.attn.qkv.weight", timm) or _translated(found, "conv_proj.weight", torchvision)


def swin_names(names: Iterable[str]) -> dict[str, str]:
    """Translate the names of a Swin of timm, or of torchvision.

    timm keeps a merging in the stage after it; before version 0.9, in the one before it.
    """
    found = list(names)
    early = 0 if "layers.0.downsample.reduction.weight" in found else 1
    block = r"layers\.(\d)\.blocks\.(\d+)\."
    timm: list[Rule] = [
        (r"patch_embed\.proj\.", "embed."),
        (r"patch_embed\.norm\.", "embed_norm."),
        (block + r"(norm1|norm2|attn\.qkv|attn\.proj)\.", r"stages.\1.\2.\3."),
        (block + r"attn\.relative_position_bias_table$", r"stages.\1.\2.attn.bias"),
        (block + r"mlp\.fc1\.", r"stages.\1.\2.mlp.0."),
        (block + r"mlp\.fc2\.", r"stages.\1.\2.mlp.2."),
        (r"layers\.(\d)\.downsample\.", lambda own: f"merging.{int(own[1]) - early}."),
        (r"norm\.", "norm."),
    ]
    odd = r"features\.([1357])\.(\d+)\."
    torchvision: list[Rule] = [
        (r"features\.0\.0\.", "embed."),
        (r"features\.0\.2\.", "embed_norm."),
        (odd + r"attn\.relative_position_bias_table$", lambda own: f"stages.{int(own[1]) // 2}.{own[2]}.attn.bias"),
        (odd + r"(norm1|norm2|attn\.qkv|attn\.proj|mlp\.0)\.", _swin_layer),
        (odd + r"mlp\.3\.", lambda own: f"stages.{int(own[1]) // 2}.{own[2]}.mlp.2."),
        (r"features\.([246])\.", lambda own: f"merging.{int(own[1]) // 2 - 1}."),
        (r"norm\.", "norm."),
    ]
    return _translated(found, "layers.0.blocks.0.attn.qkv.weight", timm) or _translated(
        found, "features.0.0.weight", torchvision
    )


def _swin_layer(own: re.Match[str]) -> str:
    return f"stages.{int(own[1]) // 2}.{own[2]}.{own[3]}."


def _translated(names: Sequence[str], sign: str, rules: Sequence[Rule]) -> dict[str, str]:
    """Return {their name: ours} of a file that holds the name `sign`; one that no rule knows keeps its name."""
    if sign not in names:
        return {}
    kept = [name for name in names if not CLASSIFIER.search(name) and not IGNORED.search(name)]
    return {name: _ours(name, rules) for name in kept}


def _ours(name: str, rules: Sequence[Rule]) -> str:
    for pattern, ours in rules:
        if re.match(pattern, name):
            return re.sub(f"^{pattern}", ours, name, count=1)
    return name
