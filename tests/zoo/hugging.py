"""Networks of `transformers`, where it is installed: tiny, with random weights, as its users call them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.catalogue import BATCHES, Architecture

SMALL: dict[str, Any] = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "vocab_size": 30,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PATCHES = {"image_size": 32, "patch_size": 8}
STAGES = {"depths": [1, 1], "num_channels": 3}
SEGFORMER: dict[str, Any] = {
    "num_encoder_blocks": 2,
    "depths": [1, 1],
    "sr_ratios": [2, 1],
    "hidden_sizes": [8, 16],
    "patch_sizes": [7, 3],
    "strides": [4, 2],
    "num_attention_heads": [1, 2],
    "mlp_ratios": [2, 2],
    "decoder_hidden_size": 12,
}
TEXT: dict[str, dict[str, Any]] = {
    "BertForSequenceClassification": SMALL,
    "RobertaForMaskedLM": SMALL,
    "ElectraForSequenceClassification": {**SMALL, "embedding_size": 12},
    "AlbertForSequenceClassification": {**SMALL, "embedding_size": 12, "num_hidden_groups": 1},
    "DistilBertForSequenceClassification": {"dim": 16, "n_layers": 2, "n_heads": 4, "hidden_dim": 24, "vocab_size": 30},
    "GPT2LMHeadModel": {
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 4,
        "vocab_size": 30,
        "n_positions": 32,
        "use_cache": False,
    },
    "GPTNeoXForCausalLM": {**SMALL, "use_cache": False},
    "OPTForCausalLM": {**SMALL, "ffn_dim": 24, "word_embed_proj_dim": 16, "use_cache": False},
    "LlamaForCausalLM": {**SMALL, "num_key_value_heads": 2, "use_cache": False},
    "MistralForCausalLM": {**SMALL, "num_key_value_heads": 2, "use_cache": False},
    "Qwen2ForCausalLM": {**SMALL, "num_key_value_heads": 2, "use_cache": False},
    "GemmaForCausalLM": {**SMALL, "num_key_value_heads": 1, "head_dim": 4, "use_cache": False},
    "PhiForCausalLM": {**SMALL, "use_cache": False},
}
IMAGE: dict[str, dict[str, Any]] = {
    "ViTForImageClassification": {**SMALL, **PATCHES},
    "DeiTForImageClassification": {**SMALL, **PATCHES},
    "BeitForImageClassification": {**SMALL, **PATCHES},
    "Dinov2ForImageClassification": {**SMALL, **PATCHES, "mlp_ratio": 2},
    "Dinov2WithRegistersForImageClassification": {**SMALL, **PATCHES, "mlp_ratio": 2},
    "CLIPVisionModelWithProjection": {**SMALL, **PATCHES, "projection_dim": 8},
    "SiglipVisionModel": {**SMALL, **PATCHES},
    "ConvNextForImageClassification": {**STAGES, "hidden_sizes": [8, 12], "num_stages": 2},
    "ConvNextV2ForImageClassification": {**STAGES, "hidden_sizes": [8, 12], "num_stages": 2},
    "SwinForImageClassification": {
        "embed_dim": 8,
        "depths": [2, 2],
        "num_heads": [2, 4],
        "window_size": 4,
        "image_size": 32,
    },
    "SegformerForSemanticSegmentation": SEGFORMER,
    "PoolFormerForImageClassification": {
        "depths": [1, 1],
        "hidden_sizes": [8, 12],
        "num_encoder_blocks": 2,
        "patch_sizes": [7, 3],
        "strides": [4, 2],
        "padding": [2, 1],
        "mlp_ratio": 2.0,
    },
    "ResNetForImageClassification": {
        "embedding_size": 8,
        "hidden_sizes": [8, 12],
        "depths": [1, 1],
        "layer_type": "basic",
    },
    "RegNetForImageClassification": {"embedding_size": 8, "hidden_sizes": [8, 12], "depths": [1, 1], "groups_width": 4},
    "MobileNetV2ForImageClassification": {"depth_multiplier": 0.25},
}


def _made(name: str, options: dict[str, Any]) -> nn.Module:
    import transformers

    kind = getattr(transformers, name)
    return kind(kind.config_class(**options, attn_implementation="eager"))


def _words(batch: int, size: int) -> tuple[Tensor, ...]:
    return (torch.randint(3, 30, (batch, size)),)


def hugging() -> dict[str, Architecture]:
    """Return the networks by their class, none where `transformers` is not installed."""
    try:
        import transformers  # noqa: F401
    except ImportError:
        return {}
    found: dict[str, Architecture] = {}
    maker: Callable[[], nn.Module]
    for name, options in TEXT.items():
        maker = partial(_made, name, options)
        found[name] = Architecture("transformers", maker, _words, 7, ((1, 0), (3, 0), (2, 4)))
    for name, options in IMAGE.items():
        found[name] = Architecture("transformers", partial(_made, name, options), others=BATCHES)
    return found
