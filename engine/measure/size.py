"""What a model weighs on the disk."""

from torch import nn

from winnow.engine.export.tensor_files import serialised, stored


def file_size(model: nn.Module) -> int:
    """Return the bytes of the model's parameters and buffers as a safetensors file, header included.

    A tensor with several names is stored once, as `engine.export.save_model` stores it.
    """
    tensors, _ = stored(model)
    return len(serialised(tensors))
