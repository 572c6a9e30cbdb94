"""The precision of float32 products, which torch keeps in two ways that do not go together."""

import warnings
from collections.abc import Callable, Iterator

import pytest
import torch

from winnow.engine.tasks.surroundings import (
    THEIRS,
    full_products,
    products_now,
    set_products,
    settings_held,
    surroundings_kept,
)

BACKENDS: object = torch.backends
CHANGES: dict[str, Callable[[], object]] = {
    "level": lambda: torch.set_float32_matmul_precision("medium"),
    "one product": lambda: setattr(torch.backends.cuda.matmul, "fp32_precision", "tf32"),
    "another": lambda: setattr(torch.backends.mkldnn.matmul, "fp32_precision", "bf16"),
    "convolutions": lambda: setattr(torch.backends.cudnn.conv, "fp32_precision", "ieee"),
    "a backend": lambda: setattr(torch.backends.cudnn, "fp32_precision", "ieee"),
    "all": lambda: setattr(BACKENDS, "fp32_precision", "tf32"),
    "cudnn's own": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "as it was": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
}


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    before = products_now()
    yield
    set_products(before)


@pytest.mark.parametrize("change", CHANGES)
def test_surroundings_kept_puts_the_precision_back_and_says_so(change: str) -> None:
    before = products_now()
    with (
        pytest.warns(UserWarning, match="`network` set the precision of float32 products"),
        surroundings_kept("network"),
    ):
        CHANGES[change]()
    assert products_now() == before
    assert torch.get_float32_matmul_precision() == before.level  # which torch raises for where the two ways differ
    with torch.backends.cudnn.flags(enabled=False):  # which reads the older flag, and raises likewise
        pass


@pytest.mark.parametrize("change", CHANGES)
def test_settings_held_refuses_another_precision(change: str) -> None:
    before = products_now()
    with (
        pytest.raises(ValueError, match="must leave the precision of float32 products of torch at"),
        settings_held(THEIRS),
    ):
        CHANGES[change]()
    assert products_now() == before


@pytest.mark.parametrize("change", CHANGES)
def test_full_products(change: str) -> None:
    CHANGES[change]()
    before = products_now()
    with full_products():
        assert set(products_now().precisions) == {"ieee"}
        with torch.backends.cudnn.flags(enabled=False):  # as a network does for a second derivative
            pass
    assert products_now() == before


def test_code_that_leaves_it_alone_is_not_warned_of() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with surroundings_kept("network"), settings_held(THEIRS):
            torch.ones(2, 2) @ torch.ones(2, 2)
