"""The same random numbers for two models of different width: how dropout and drop path can be compared exactly.

A dropout layer draws one number per element, so a smaller model draws others than the dense one, from the same seed.
`Chance` answers every random operation itself, with numbers that depend on three things only: the module that asks,
the operation, and how often it asked before. They differ from image to image and are the same for all elements of an
image, so that two models draw the same whatever their widths. An operation without such an answer (a permutation, a
multinomial draw) runs as it is from a seed of its own: it agrees if both models ask it for the same shape.
"""

import random
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

from winnow.engine.graph.calls import Call, run
from winnow.engine.graph.examples import images

Answer = Callable[[Tensor, tuple[Any, ...], dict[str, Any]], Tensor]  # uniform numbers and the arguments → the result
TINY = 2.0**-40


def devices_of(model: nn.Module) -> list[torch.device]:
    """Return the GPUs that a model's parameters are on."""
    return sorted({parameter.device for parameter in model.parameters() if parameter.is_cuda}, key=str)


def random_state(model: nn.Module) -> list[Tensor]:
    """Return the states of all generators that a model may draw from."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(device) for device in devices_of(model))]


def seeded(seed: int, devices: Iterable[torch.device]) -> None:
    """Seed what is drawn on the CPU and on the GPUs of a model.

    `torch.manual_seed` seeds every kind of device there is, and notes for each that it is not in use (milliseconds).
    """
    torch.default_generator.manual_seed(seed)
    for device in devices:
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


class Chance(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch gives it no types
    """Answers random operations for as long as it is entered; `images` is the length of a batch.

    `path` names the module that is running. `unanswered` are the random operations that had to run as they are.
    """

    def __init__(self, model: nn.Module, images: int, seed: int = 0) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.paths, self.unanswered = [""], set[str]()
        self._images, self._seed, self.devices = images, seed, devices_of(model)
        self._names = {id(module): name for name, module in model.named_modules(remove_duplicate=False)}
        self._asked: Counter[tuple[str, str]] = Counter()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Nothing is compiled inside, so torch need not load its compiler (seconds) to leave this class out."""
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, a random one with the numbers of its place."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        name = func._schema.name.partition("::")[2]
        key = (self.paths[-1], name.rstrip("_"))
        self._asked[key] += 1
        seed = zlib.crc32(f"{self._seed}|{key}|{self._asked[key]}".encode())
        kwargs.pop("generator", None)
        if name == "native_dropout":
            return self._dropout(seed, *args)
        if name not in ANSWERS:
            self.unanswered.add(name)
            seeded(seed, self.devices)
            return func(*args, **kwargs)
        plain = func(*args, **kwargs)  # for its shape, type and device; in place, the tensor itself
        found = ANSWERS[name](self._uniform(seed, plain), args, kwargs)
        return plain.copy_(found.expand(plain.shape)) if isinstance(plain, Tensor) else plain

    def _uniform(self, seed: int, like: Tensor) -> Tensor:
        """Return numbers from (0, 1): one per image where the first axis is the batch, else one."""
        per_image = like.dim() > 0 and like.shape[0] == self._images
        count = self._images if per_image else 1
        drawn = torch.rand(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        shape = [count] + [1] * (like.dim() - 1) if like.dim() else []
        return drawn.clamp(TINY, 1 - TINY).reshape(shape).to(like.device)

    def _dropout(self, seed: int, x: Tensor, p: float, train: bool | None = True) -> tuple[Tensor, Tensor]:
        mask = (self._uniform(seed, x) >= (p if train is not False else 0.0)).expand(x.shape)
        scale = 1 / (1 - p) if train is not False and p < 1 else 1.0
        return x * mask * scale, mask.contiguous()

    def enter_module(self, module: nn.Module, _: Any) -> None:
        """Note that a module begins to run."""
        self.paths.append(self._names.get(id(module), self.paths[-1]))

    def leave_module(self, *_: Any) -> None:
        """Note that it is done."""
        self.paths.pop()


@contextmanager
def same_chance(model: nn.Module, images: int, seed: int = 0) -> Iterator[Chance]:
    """Answer what a model draws inside; torch's, Python's and numpy's random states are put back."""
    chance = Chance(model, images, seed)
    python, numbers = random.getstate(), np.random.get_state()  # noqa: NPY002 - what a model may use
    hooks = [register_module_forward_pre_hook(chance.enter_module)]
    hooks.append(register_module_forward_hook(chance.leave_module, always_call=True))
    try:
        with torch.random.fork_rng(devices=chance.devices), chance:
            seeded(seed, chance.devices)
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield chance
    finally:
        random.setstate(python)
        np.random.set_state(numbers)  # noqa: NPY002
        for hook in hooks:
            hook.remove()


@contextmanager
def drawing_alike(model: nn.Module, call: Call, seed: int, always: bool = False) -> Iterator[Chance | None]:
    """Seed what is drawn at random; in training mode, or `always`, it is the same for models of any width."""
    if call.training or always:
        with same_chance(model, images(call), seed) as chance:
            yield chance
        return
    devices = devices_of(model)
    with torch.random.fork_rng(devices=devices):
        seeded(seed, devices)
        yield None


def run_placed(model: nn.Module, call: Call, chance: Chance) -> Any:
    """Run a model so that its random operations know where they are; a drawn program says it node by node."""
    if not isinstance(model, fx.GraphModule):
        return run(model, call)
    values = [value for _, value in call.named(model).values()]
    return _Placed(model, chance).run(*values)


class _Placed(fx.Interpreter):
    """Runs a program, each operation in the place that it had in the model."""

    def __init__(self, module: fx.GraphModule, chance: Chance) -> None:
        super().__init__(module)
        self.chance = chance

    def run_node(self, n: fx.Node) -> Any:
        """Run one operation where it belongs."""
        stack = list((n.meta.get("nn_module_stack") or {}).values())
        self.chance.paths.append(stack[-1][0] if stack else "")
        try:
            return super().run_node(n)
        finally:
            self.chance.paths.pop()


def _argument(args: tuple[Any, ...], kwargs: dict[str, Any], place: int, name: str, default: Any) -> Any:
    return args[place] if place < len(args) else kwargs.get(name, default)


def _normal(u: Tensor) -> Tensor:
    found: Tensor = torch.special.ndtri(u)
    return found


def _bernoulli(u: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    found: Tensor = (u < _argument(args, kwargs, 1, "p", args[0])).double()
    return found


def _bernoulli_in_place(u: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    found: Tensor = (u < _argument(args, kwargs, 1, "p", 0.5)).double()
    return found


def _between(u: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    low, high = _argument(args, kwargs, 1, "from", 0.0), _argument(args, kwargs, 2, "to", 1.0)
    found: Tensor = low + (high - low) * u
    return found


def _shifted(u: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    mean, deviation = _argument(args, kwargs, 1, "mean", 0.0), _argument(args, kwargs, 2, "std", 1.0)
    found: Tensor = mean + deviation * _normal(u)
    return found


def _exponential(u: Tensor, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    found: Tensor = -u.log() / _argument(args, kwargs, 1, "lambd", 1.0)
    return found


ANSWERS: dict[str, Answer] = {
    "rand": lambda u, args, kwargs: u,
    "rand_like": lambda u, args, kwargs: u,
    "randn": lambda u, args, kwargs: _normal(u),
    "randn_like": lambda u, args, kwargs: _normal(u),
    "bernoulli": _bernoulli,
    "bernoulli_": _bernoulli_in_place,
    "uniform_": _between,
    "normal_": _shifted,
    "exponential_": _exponential,
}
