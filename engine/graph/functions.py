"""Functions of torch by the names that rules go by, and composed ones opened, so that what is inside is seen."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import FunctionType
from typing import Any

import torch

from winnow.engine.graph.narrow_norms import (
    narrow_group_norm,
    narrow_layer_norm,
    narrow_rms_norm,
    own_norm,
    zeros_instead,
)

PASSIVE = frozenset(
    [
        "shape",
        "size",
        "dim",
        "ndim",
        "ndimension",
        "numel",
        "nelement",
        "stride",
        "dtype",
        "device",
        "layout",
        "__len__",
        "is_floating_point",
        "is_complex",
        "is_cuda",
        "is_contiguous",
        "requires_grad",
        "element_size",
        "itemsize",
        "nbytes",
        "get_device",
        "storage_offset",
        "is_leaf",
        "is_sparse",
        "grad_fn",
        "grad",
        "is_nested",
        "is_quantized",
        "is_meta",
        "is_mkldnn",
        "is_signed",
        "is_inference",
        "is_conj",
        "is_neg",
        "is_mps",
        "is_xpu",
        "is_cpu",
        "names",
        "data_ptr",
        "untyped_storage",
        "storage",
        "_version",
        "is_same_size",
        "is_pinned",
        "is_shared",
        "hash",
        "_base",
        "is_set_to",
        "has_names",
        "output_nr",
        "retains_grad",
        "requires_grad_",
        "is_sparse_csr",
        "name",
        "repr",
        "str",
        "_is_view",
        "is_distributed",
        "register_hook",
        "retain_grad",
        "class",
        "is_coalesced",
        "dim_order",
        "format",
        "_set_grad_enabled",
        "is_grad_enabled",
        "result_type",
        "can_cast",
        "promote_types",
        "_backward_hooks",
        "broadcast_shapes",
    ]
) | {"set grad", "set requires_grad", "set _backward_hooks"}  # what tells of a tensor, and makes none
SIZES = ("shape", "size", "numel", "nelement")
NUMBERS = ("item", "tolist", "numpy", "__array__", "__float__", "__int__", "__complex__", "aten::_local_scalar_dense")
VALUES = (*NUMBERS, "__bool__", "__index__", "is_nonzero", "equal", "allclose", "__contains__")
COUNTED = ("nonzero", "argwhere", "masked_select", "unique", "unique_consecutive")  # sizes that depend on values
NUMERIC = (
    "tensor",
    "as_tensor",
    "scalar_tensor",
    "full",
    "full_like",
    "arange",
    "linspace",
    "fill",
    "eye",
    "scaled_dot_product_attention",
)  # its scale
INDEXING = (
    "getitem", "setitem", "narrow", "split", "split_with_sizes", "tensor_split", "chunk", "select", "roll", "pad",
    "slice", "unsafe_split", "unsafe_chunk",
)  # fmt: skip
SPECIAL = {
    torch.batch_norm: "aten_batch_norm",
    torch.instance_norm: "aten_instance_norm",
    torch.sparse.mm: "mm",
    torch.embedding: "aten_embedding",  # takes the table first
    torch.nn.functional.unfold: "im2col",  # a method of tensors has the name
    narrow_layer_norm: "narrow_layer_norm",
    narrow_rms_norm: "narrow_rms_norm",
    narrow_group_norm: "narrow_group_norm",
    zeros_instead: "zeros_instead",
    own_norm: "own_norm",
}
HOMES = ("torch", "_operator", "builtins", "math", "_VariableFunctions")
DUNDERS = ("__bool__", "__float__", "__int__", "__index__", "__complex__", "__array__", "__contains__", "__len__")
CHECKS = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")


@lru_cache(maxsize=4096)
def name_of(function: Callable[..., Any]) -> str:
    """Return the name that a function goes by: `add` for torch.add, Tensor.add, Tensor.add_ and Tensor.__add__ alike.

    What is none of torch's keeps its home before it, `mylib::relu`.
    """
    if function in SPECIAL:
        return SPECIAL[function]
    if isinstance(function, torch._ops.OpOverload | torch._ops.OpOverloadPacket):
        return _of_operator(function)
    name = str(getattr(function, "__name__", function))
    owner = getattr(function, "__self__", None)
    if name in ("__get__", "__set__") and owner is not None:
        return f"{owner.__name__}" if name == "__get__" else f"set {owner.__name__}"
    home = str(getattr(function, "__module__", None) or "torch")
    short = name if name in DUNDERS else re.sub(r"^__(\w+?)__$", r"\1", name)
    return short if home.startswith(HOMES) else f"{home}.{short}"


def _of_operator(function: Any) -> str:
    packet = function.overloadpacket if isinstance(function, torch._ops.OpOverload) else function
    home, _, name = packet._qualified_op_name.partition("::")
    return f"aten::{name}" if home in ("aten", "prims") else f"{home}::{name}"


def as_layer(
    name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """Return a product with a parameter, or with one transposed, as the layer that it is.

    `addmm(b, x, W)` becomes `product(x, W, b)`, and so does `F.linear(x, W.T, b)`; `x @ W.T` becomes `linear(x, W)`.
    """
    given = (name, function, args, kwargs)
    if name == "linear":
        x, weight, bias = _of_linear(args, kwargs)
        whole = flipped_from(weight)
        return given if whole is None else ("product", _flipped_linear, (x, whole, bias), {})
    count = {"matmul": 2, "mm": 2, "addmm": 3}.get(name)
    if count != len(args) or kwargs:
        return given
    x, weight, *bias = *args[-2:], *args[:-2]
    plain = isinstance(x, torch.Tensor) and x.dim() > 1 and not isinstance(x, torch.nn.Parameter)
    if not plain or not all(isinstance(part, torch.nn.Parameter) for part in bias):
        return given
    if (whole := flipped_from(weight)) is not None:
        return "linear", _flipped_product if not bias else _flipped_sum, (x, whole, *bias), {}
    if not isinstance(weight, torch.nn.Parameter) or weight.dim() != 2:
        return given
    return ("product", _added_product, (x, weight, *bias), {}) if bias else ("product", function, args, kwargs)


def flipped_from(tensor: Any) -> torch.nn.Parameter | None:
    """Return the matrix of parameters that a tensor is the transposition of, None if it is none."""
    base = tensor._base if isinstance(tensor, torch.Tensor) and not isinstance(tensor, torch.nn.Parameter) else None
    if not isinstance(base, torch.nn.Parameter) or (base.dim(), tensor.dim()) != (2, 2):
        return None
    same = (tensor.shape, tensor.stride()) == (base.shape[::-1], base.stride()[::-1])
    return base if same and tensor.storage_offset() == base.storage_offset() else None


def _of_linear(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    names = ("input", "weight", "bias")
    x, weight, bias = (args[n] if n < len(args) else kwargs.get(name) for n, name in enumerate(names))
    return x, weight, bias


def _added_product(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.addmm(bias, x, weight)


def _flipped_sum(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    return torch.addmm(bias, x, weight.t())


def _flipped_product(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return x @ weight.t()


def _flipped_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    return torch.nn.functional.linear(x, weight.t(), bias)


def rescales(name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether an embedding writes into its table as it is read: what is inside is followed then."""
    return name in ("embedding", "embedding_bag") and (args[3] if len(args) > 3 else kwargs.get("max_norm")) is not None


def opens(function: Any) -> bool:
    """Whether a function is composed of others in Python, and asks only whether somebody watches."""
    return isinstance(function, FunctionType) and any(check in function.__globals__ for check in CHECKS)


@lru_cache(maxsize=512)
def opened(function: FunctionType) -> Callable[..., Any]:
    """Return a function that does the same and does not ask whether somebody watches, so that its inside is seen.

    Nor do the private functions of its module that it calls: `torch.meshgrid` leaves the question to one.
    """
    inside: dict[str, Any] = {**function.__globals__, **dict.fromkeys(CHECKS, _nobody)}
    for name, helper in function.__globals__.items():
        own = isinstance(helper, FunctionType) and helper.__globals__ is function.__globals__
        if own and name.startswith("_") and not name.startswith("__"):
            inside[name] = _within(helper, inside)
    return _within(function, inside)


def _within(function: FunctionType, inside: dict[str, Any]) -> FunctionType:
    twin = FunctionType(function.__code__, inside, function.__name__, function.__defaults__, function.__closure__)
    twin.__kwdefaults__ = function.__kwdefaults__
    return twin


def _nobody(*tensors: Any) -> bool:
    return False
