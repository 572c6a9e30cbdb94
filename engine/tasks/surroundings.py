"""What code of the user's own may change for everything else in the process: looked at, put back, and refused by name.

A default type, a default device, gradients that are off, or torch seeded anew in every step change a training without
an error. Whatever else a module sets for itself (threads, filters of warnings, what a signal does) is put back. So is
the precision of float32 products, with a warning, for a job without that code would compute in another; changed within
a step, it is refused.
"""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

THEIRS = "network` or `task"  # whose code runs in a step
STREAM = 12  # of random numbers, beside the one that networks are built with


def _seed(value: int) -> None:
    """Leave the stream of random numbers: what was drawn from it meanwhile cannot be taken back."""


def _default_device(value: torch.device) -> None:
    torch.set_default_device(None if value.type == "cpu" else value)  # one that is set costs time at each call


@dataclass(frozen=True)
class Setting:
    """Something of torch's: how it is read and set, and what a user's code did to change it."""

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    by: str


SETTINGS = (
    Setting("default type", torch.get_default_dtype, torch.set_default_dtype, "torch.set_default_dtype"),
    Setting("default device", torch.get_default_device, _default_device, "torch.set_default_device"),
    Setting("gradients", torch.is_grad_enabled, torch.set_grad_enabled, "torch.set_grad_enabled"),
)


def _strict() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_strict(value: tuple[bool, bool]) -> None:
    if value != _strict():  # torch imports its compiler here, which takes more than a second
        torch.use_deterministic_algorithms(value[0], warn_only=value[1])


@dataclass(frozen=True)
class Products:
    """In which precision each backend multiplies float32, as torch calls it: ieee, tf32 or bf16; none: its default.

    `level` is what `torch.get_float32_matmul_precision` says, "" where it raises: after one backend was set by itself.
    `cudnn` is what the older `torch.backends.cudnn.allow_tf32` says, None where it raises.
    """

    precisions: tuple[str, ...]
    level: str = ""
    cudnn: bool | None = None

    def __str__(self) -> str:
        named = zip(_backends(), self.precisions, strict=True)
        return ", ".join(f"{name} {own}" for name, own in named if own != "none") or "its default"


def _backends() -> dict[str, Any]:
    """Return what has a precision, by name: first that of all, which the others inherit, then backends, then parts."""
    every: Any = torch.backends
    own = {"cuda.matmul": every.cuda.matmul, "cudnn.conv": every.cudnn.conv, "cudnn.rnn": every.cudnn.rnn}
    own |= {f"mkldnn.{name}": getattr(every.mkldnn, name) for name in ("matmul", "conv", "rnn")}
    return {"all": every, "cudnn": every.cudnn, "mkldnn": every.mkldnn, **own}


def products_now() -> Products:
    """Return the precisions as they are now."""
    try:
        level = str(torch.get_float32_matmul_precision())
    except RuntimeError:
        level = ""
    try:
        cudnn = bool(torch.backends.cudnn.allow_tf32)
    except RuntimeError:
        cudnn = None
    return Products(tuple(str(own.fp32_precision) for own in _backends().values()), level, cudnn)


def set_products(value: Products) -> None:
    """Set the precisions, backend by backend, and what the older ways say, which set some of the backends too."""
    changes = value != products_now()
    if changes and value.level:
        torch.set_float32_matmul_precision(value.level)
    if changes and value.cudnn is not None:
        torch.backends.cudnn.allow_tf32 = value.cudnn
    for own, precision in zip(_backends().values(), value.precisions, strict=True):
        if own.fp32_precision != precision:
            own.fp32_precision = precision


@contextmanager
def full_products() -> Iterator[None]:
    """Within it float32 is multiplied as float32 on every backend."""
    before = products_now()
    set_products(Products(("ieee",) * len(before.precisions), cudnn=False))
    try:
        yield
    finally:
        set_products(before)


PRODUCTS = Setting(
    "precision of float32 products",
    products_now,
    set_products,
    "torch.set_float32_matmul_precision, fp32_precision or allow_tf32",
)
DETERMINISTIC = Setting("deterministic algorithms", _strict, _set_strict, "torch.use_deterministic_algorithms")
SEED = Setting("seed", torch.initial_seed, _seed, "torch.manual_seed")


def settings_now(stream: int | None = None) -> dict[Setting, Any]:
    """Return the settings of torch as they are now; where a `stream` is given, that torch was seeded with it."""
    return {own: own.read() for own in (*SETTINGS, PRODUCTS, DETERMINISTIC)} | (
        {} if stream is None else {SEED: stream}
    )


def seed_stream(seed: int) -> int:
    """Seed torch with a number that code of the user's own does not name by chance; return it.

    So code that seeds torch again in every step is noticed.
    """
    torch.manual_seed(int(np.random.SeedSequence([seed, STREAM]).generate_state(1, np.uint64)[0]))
    return torch.initial_seed()


def require_settings(known: dict[Setting, Any], role: str) -> None:
    """Raise where code of the user's own has changed a setting; put it back first.

    Raises:
        ValueError: the message names the setting, both values, and the call that changed it.

    """
    for own, found in _put_back(known).items():
        if own is SEED:
            raise ValueError(
                f"`{role}` must leave torch's random numbers alone while it is trained, got {own.by}({found}): every "
                "step would draw the same. Take it out, or draw from a torch.Generator of your own."
            )
        raise ValueError(
            f"`{role}` must leave the {own.name} of torch at {_said(known[own])}, got {_said(found)}. Take {own.by} "
            "out of your code, or set it back there."
        )


def _put_back(known: dict[Setting, Any]) -> dict[Setting, Any]:
    """Set the settings as they were; return those that had been changed, with what they had been changed to."""
    changed = {own: found for own, value in known.items() if (found := own.read()) != value}
    for own in changed:
        own.write(known[own])
    return changed


def _said(value: Any) -> str:
    if isinstance(value, tuple):  # of deterministic algorithms
        return f"{_said(value[0])}{' (warn_only)' if value[1] else ''}"
    return ("off", "on")[value] if isinstance(value, bool) else str(value).removeprefix("torch.")


@contextmanager
def settings_held(role: str) -> Iterator[None]:
    """Within it a job uses a network and tasks that may be the user's own; at its end the settings must be the same.

    Raises:
        ValueError: they changed one. This comes before an error that the job itself raised, as it is likely its cause.

    """
    known = settings_now()
    try:
        yield
    finally:
        require_settings(known, role)


@contextmanager
def surroundings_kept(role: str) -> Iterator[None]:
    """Within it code of the user's own runs; what it changed for others is put back, or refused by name.

    Raises:
        ValueError: it changed a setting that would change the results of other code.

    """
    known, threads, strict = {own: own.read() for own in SETTINGS}, torch.get_num_threads(), _strict()
    products, cudnn = products_now(), (torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic)
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)} if main else {}
    try:
        with warnings.catch_warnings():
            yield
        require_settings(known, role)
        if found := _put_back({PRODUCTS: products}):
            warnings.warn(
                f"`{role}` set the {PRODUCTS.name} of torch to {found[PRODUCTS]}. They stay at {products}, as in every "
                f"other job on the run. Take {PRODUCTS.by} out of your code.",
                stacklevel=3,
            )
    finally:
        _put_back({**known, PRODUCTS: products})
        torch.set_num_threads(threads)
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn
        _set_strict(strict)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
