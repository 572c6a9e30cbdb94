"""Benchmarks are run by `make bench`; what they measure is printed and gathered in `figures`."""

from collections.abc import Callable, Iterator

import pytest
import torch


@pytest.fixture
def figure(capsys: pytest.CaptureFixture[str]) -> Callable[[str, object, str], None]:
    """Print a measured figure and its target, whatever pytest captures."""

    def show(name: str, measured: object, target: str) -> None:
        with capsys.disabled():
            print(f"\n  {name}: {measured}    [target {target}]", flush=True)

    return show


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_flush_denormal(True)
    yield
    torch.set_num_threads(before)
