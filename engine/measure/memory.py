"""What a model takes in bytes: as a file, and at the peak of one forward pass.

The peak is that of weights, inputs and all activations that live at once. On the CPU every operation is watched as it
returns (`engine.pruning.activations`). A convolution's own work space, freed before it returns, is not seen: it belongs
to the backend and its threads.
"""

from typing import Any

import torch
from torch import Tensor, nn

from winnow.engine.export.tensor_files import named_tensors, serialised, stored_tensors
from winnow.engine.graph.modes import evaluating
from winnow.engine.graph.preserving import Writes, state_kept
from winnow.engine.graph.trace import named_inputs
from winnow.engine.pruning.activations import AliveBytes, tensors_of


def file_size(model: nn.Module) -> int:
    """Return the bytes of the model's parameters and buffers as a safetensors file, header included.

    A tensor with several names is stored once, as `engine.export.saving.save_model` stores it.

    Examples:
        >>> file_size(nn.Linear(4, 2)) > 4 * 10  # ten numbers of 4 bytes, and the header
        True

    """
    tensors, _ = stored_tensors(model)
    return len(serialised(tensors))


def peak_memory(model: nn.Module, example_inputs: Any) -> int:
    """Return the bytes at the peak of one forward pass in evaluation mode, without gradients.

    On the CPU: the largest sum of all tensors that are alive at once: parameters, buffers, inputs and activations, with
    each memory block counted once. On a GPU: `torch.cuda.max_memory_allocated` over the pass, which includes the work
    space, minus what was allocated before, plus parameters, buffers and inputs. The model is afterwards what it was.

    Raises:
        NotTraceable: on a GPU, the pass writes into a parameter, so that the model cannot be put back.

    Examples:
        >>> peak_memory(nn.Linear(4, 2), torch.ones(1, 4)) >= 4 * (10 + 4 + 2)  # weights, input, output
        True

    """
    inputs = named_inputs(model, example_inputs)
    fixed = [tensor for _, tensor in named_tensors(model)] + tensors_of(inputs)
    with evaluating(model), state_kept(model) as state, torch.no_grad():
        device = next((tensor.device for tensor in fixed if tensor.is_cuda), None)
        if device is not None:
            return _on_gpu(model, inputs, fixed, device)
        with Writes(state):  # around the watch, which sees no copy of what is about to be written
            return _on_cpu(model, inputs, fixed)


def _on_cpu(model: nn.Module, inputs: dict[str, Any], fixed: list[Tensor]) -> int:
    watch = AliveBytes()
    with watch:
        watch.add(fixed)
        model(**inputs)
    return watch.peak


def _on_gpu(model: nn.Module, inputs: dict[str, Any], fixed: list[Tensor], device: torch.device) -> int:
    blocks: dict[int, int] = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in fixed
    }
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    model(**inputs)
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device) - before) + sum(blocks.values())
