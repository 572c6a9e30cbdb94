"""What two models are compared on: every call in its modes, on the example and on random inputs, at other sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.examples import at_other_sizes, images, with_images

SEED = 0


@dataclass(frozen=True, eq=False)
class Trial:
    """One call that both models are run on.

    `words` say which; `size` says at which other size, "" for that of the example. `required`: the model itself must
    take it; at a size that it does not take nothing is compared. `single`: whether float32 is compared too.
    """

    call: Call
    words: str
    size: str = ""
    required: bool = False
    single: bool = False


def trials(model: nn.Module, calls: Sequence[Call], sizes: bool = True) -> Iterator[Trial]:
    """Yield what to compare on.

    A call is run in evaluation mode on the example and on random inputs of its shapes, on 1, 2 and n + 1 images, and
    at other resolutions and lengths; in training mode on the example and on n + 1 images. A call of one mode is run in
    that mode alone.
    """
    for given in calls:
        for call in given.modes():
            required = given.training is not None or not call.training
            words = call.described(model)
            yield Trial(call, f"the example: {words}", required=required, single=not call.training)
            if not call.training:
                drawn = random_like(call)
                yield Trial(drawn, f"normal, of its mean and deviation, seed {SEED}: {words}", single=True)
            for size, other in _sizes(call) if sizes else ():
                yield Trial(other, f"{words}, {size}", size)


def _sizes(call: Call) -> Iterator[tuple[str, Call]]:
    if not any(leaf.dim() and len(leaf) for _, leaf in call.tensors()):
        return
    count = images(call)
    for size in (count + 1,) if call.training else dict.fromkeys((1, 2, count + 1)):
        if size != count:
            yield f"{size} image{'s' * (size > 1)}", with_images(call, size)
    if not call.training:
        yield from at_other_sizes(with_images(call, 1)).items()


def random_like(call: Call) -> Call:
    """Return a call on random inputs of the same shapes, mean and deviation; what is not floating stays."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        return call.changed(_random)


def _random(value: Tensor) -> Tensor:
    if not value.is_floating_point() or value.numel() < 2:
        return value
    deviation, mean = torch.std_mean(value.detach().float())
    return (torch.randn(value.shape) * deviation.cpu() + mean.cpu()).to(value)
