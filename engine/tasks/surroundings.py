"""What code of the user's own may change for everything else in the process: looked at, put back, and refused by name.

A default type, a default device, gradients that are off, or torch seeded anew in every step change a training without
an error. Whatever else a module sets for itself (threads, filters of warnings, what a signal does) is put back.
"""

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch


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
SEED = Setting("seed", torch.initial_seed, _seed, "torch.manual_seed")


def settings_now(stream: int | None = None) -> dict[Setting, Any]:
    """Return the settings of torch as they are now; where a `stream` is given, that torch was seeded with it."""
    return {own: own.read() for own in SETTINGS} | ({} if stream is None else {SEED: stream})


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
    return ("off", "on")[value] if isinstance(value, bool) else str(value).removeprefix("torch.")


@contextmanager
def surroundings_kept(role: str) -> Iterator[None]:
    """Within it code of the user's own runs; what it changed for others is put back, or refused by name.

    Raises:
        ValueError: it changed a setting that would change the results of other code.

    """
    known, threads = settings_now(), torch.get_num_threads()
    strict = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    main = threading.current_thread() is threading.main_thread()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)} if main else {}
    try:
        with warnings.catch_warnings():
            yield
        require_settings(known, role)
    finally:
        _put_back(known)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict[0], warn_only=strict[1])
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)
