"""What two models are compared on: every call in its modes, on the example and on random inputs, at other sizes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from winnow.engine.graph.calls import Call
from winnow.engine.graph.examples import MAPS, at_half_size, at_other_sizes, images, with_images

SEED = 0
LARGE = 2**14  # places of a map, such as 128 × 128, from which on twice the size is tried only where half of it fails


@dataclass(frozen=True, eq=False)
class Trial:
    """One call that both models are run on.

    `words` say which; `size` says at which other size, "" for that of the example. `required`: the model itself must
    take it; at a size that it does not take nothing is compared. `single`: whether float32 is compared too. `instead`:
    the words of earlier trials, any of which makes this one idle if the model took it. `of` describes the call that it
    was made of. `inputs` numbers its inputs: trials of one number have equal ones, in two modes.
    """

    call: Call
    words: str
    size: str = ""
    required: bool = False
    single: bool = False
    instead: tuple[str, ...] = ()
    of: str = ""
    inputs: int = -1


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


def few_trials(model: nn.Module, calls: Sequence[Call], sizes: bool = True) -> Iterator[Trial]:
    """Yield fewer trials with the same coverage, since a pass in float64 is what a proof costs.

    In evaluation mode: the example, random numbers on n + 1 images, one image, and other resolutions and lengths. Large
    maps are halved, and doubled only where the model does not take half. In training mode: n + 1 images, the example
    only where the model must be run on it or does not take n + 1 images.
    """
    for place, given in enumerate(calls):
        for call in given.modes():
            words = call.described(model)
            more = f"{images(call) + 1} images" if _has_images(call) else ""
            found = list(_few(call, words, sizes and _has_images(call), required=given.training is not None))
            number = place if given.training is None else -1
            yield from (replace(trial, of=words, inputs=number if trial.size == more else -1) for trial in found)


def _few(call: Call, words: str, sizes: bool, required: bool) -> Iterator[Trial]:
    example = Trial(call, f"the example: {words}", required=required or not call.training, single=not call.training)
    title = f"normal, of its mean and deviation, seed {SEED}: {words}"
    if required or not call.training:
        yield example
    more: tuple[str, ...] = ()
    if sizes:
        size = f"{images(call) + 1} images"
        more = (f"{title}, {size}",)
        yield Trial(random_like(with_images(call, images(call) + 1)), *more, size)
    if not call.training:
        yield Trial(random_like(call), title, instead=more)
    elif not required:
        yield replace(example, instead=more)
    if sizes and not call.training:
        yield from _other_sizes(call, words)


def _other_sizes(call: Call, words: str) -> Iterator[Trial]:
    one = with_images(call, 1)
    if images(call) > 1:
        yield Trial(one, f"{words}, 1 image", "1 image")
    for title, other in at_other_sizes(one).items():
        half = [Trial(found, f"{words}, {name}", name) for name, found in _halved(one, title).items()]
        yield from half
        yield Trial(other, f"{words}, {title}", title, instead=tuple(trial.words for trial in half))


def _halved(call: Call, title: str) -> dict[str, Call]:
    """Return a call with large maps at half the size in the place of twice the size, nothing where they are small."""
    places = max(
        (leaf[0].numel() // max(len(leaf[0]), 1) for _, leaf in call.tensors() if leaf.dim() >= MAPS), default=0
    )
    length, _, size = title.partition(" → ")
    if places < LARGE or not length.isdigit() or int(size) != 2 * int(length):
        return {}
    return at_half_size(call, int(length))


def _has_images(call: Call) -> bool:
    return any(leaf.dim() and len(leaf) for _, leaf in call.tensors())


def _sizes(call: Call) -> Iterator[tuple[str, Call]]:
    if not _has_images(call):
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
        torch.default_generator.manual_seed(SEED)
        return call.changed(_random)


def _random(value: Tensor) -> Tensor:
    if not value.is_floating_point() or value.numel() < 2 or value.layout != torch.strided:
        return value
    deviation, mean = torch.std_mean(value.detach().float())
    return (torch.randn(value.shape) * deviation.cpu() + mean.cpu()).to(value)
