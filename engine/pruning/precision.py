"""A model in another precision: a copy whose tensors are converted, and code that asks for a type gets that one.

A forward pass may name types (`x.float()`, `torch.zeros(n)`). In float64 they would lose digits, or meet float64
weights that they do not fit, so inside `in_precision` every floating type that is asked for is the one of the
comparison. In the model's own type nothing is changed.
"""

import copy
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from winnow.engine.graph.copies import deep_copy, held_tensors
from winnow.engine.graph.preserving import is_lazy, pointer
from winnow.engine.graph.refusal import NotTraceable
from winnow.engine.tasks.surroundings import full_products

EMPTY = (OrderedDict, dict, set, list)
APART = "make the view in the forward pass, or clone what is kept"
CASTS = (Tensor.float, Tensor.double, Tensor.half, Tensor.bfloat16)


def in_type(value: Any, dtype: torch.dtype) -> Any:
    """Return a floating tensor in the given type, a complex one in that of two such numbers, anything else as it is."""
    if not isinstance(value, Tensor):
        return value
    if value.is_complex():
        return value.to(dtype.to_complex())
    return value.to(dtype) if value.is_floating_point() else value


def run_in_type(
    module: nn.Module, dtype: torch.dtype, args: Any, kwargs: Any, exact: Mapping[str, Tensor] | None = None
) -> Any:
    """Return what a module gives with its weights converted; `exact` are values for some of them."""
    tensors: dict[str, Tensor] = dict(module.named_parameters()) | dict(module.named_buffers())
    tensors |= {name: tensor for name, tensor in (exact or {}).items() if name in tensors}
    return functional_call(module, {name: in_type(tensor, dtype) for name, tensor in tensors.items()}, args, kwargs)


def private(model: nn.Module, dtype: torch.dtype | None = None, exact: Mapping[str, Tensor] | None = None) -> nn.Module:
    """Return a copy that may be run without a trace in the model: its passes may write into all that it holds.

    Args:
        model: any module.
        dtype: the type of its floating tensors; None: each as it is.
        exact: values for some of its tensors, by name, in place of their own.

    Raises:
        NotTraceable: a module keeps what cannot be copied.

    """
    given, memo = exact or {}, dict[int, Any]()
    tensors: dict[str, Tensor] = dict(model.named_parameters()) | dict(model.named_buffers())
    names = {id(tensor): name for name, tensor in tensors.items()}
    own = {id(tensor): tensor for tensor in (*tensors.values(), *held_tensors(model))}
    typed = {key: view for group in _overlapping(own.values()) for key, view in _views(group, dtype, names).items()}
    for key, tensor in own.items():
        value = given.get(names.get(key, ""))
        if key not in typed:
            typed[key] = _typed(tensor.detach() if value is None else value, dtype or tensor.dtype)
        elif value is not None:
            typed[key].copy_(value)
        parameter = isinstance(tensor, nn.Parameter)
        memo[key] = nn.Parameter(typed[key], tensor.requires_grad) if parameter else typed[key]
    return twin_of(model, memo)


def _overlapping(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Return the groups of tensors that see one memory: those whose ranges of entries overlap."""
    spans: list[tuple[str, int, int, Tensor]] = []
    for tensor in tensors:
        if tensor.layout == torch.strided and not is_lazy(tensor) and tensor.numel() and (place := pointer(tensor)):
            begin, size = int(tensor.storage_offset()), tensor.element_size()
            spans.append((str(tensor.device), place + begin * size, place + _end(tensor) * size, tensor))
    groups: list[list[Tensor]] = []
    reached = ("", 0)
    for device, start, end, tensor in sorted(spans, key=lambda span: span[:3]):
        if device == reached[0] and start < reached[1]:
            groups[-1].append(tensor)
            reached = (device, max(end, reached[1]))
        else:
            groups.append([tensor])
            reached = (device, end)
    return [group for group in groups if len(group) > 1]


def _views(group: Sequence[Tensor], dtype: torch.dtype | None, names: Mapping[int, str]) -> dict[int, Tensor]:
    """Return copies of tensors that see one memory, {id: copy}, which see one memory in the same way.

    Raises:
        NotTraceable: they see it as different types.

    """
    if len({(tensor.dtype, tensor.is_conj(), tensor.is_neg()) for tensor in group}) > 1:
        name = next((names[id(tensor)] for tensor in group if id(tensor) in names), "a tensor")
        path, _, last = name.rpartition(".")
        raise NotTraceable(path, f"`{last}`, whose memory another tensor sees as another type", APART)
    first = min(tensor.storage_offset() for tensor in group)
    whole = group[0].detach().as_strided((max(map(_end, group)) - first,), (1,), first)
    made = _typed(whole, dtype or whole.dtype)
    return {id(one): made.as_strided(one.shape, one.stride(), one.storage_offset() - first) for one in group}


def _end(tensor: Tensor) -> int:
    """Return the place behind the last entry of a tensor in its memory."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return int(tensor.storage_offset()) + sum((length - 1) * step for length, step in steps) + 1


def _typed(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a tensor of memory of its own, a floating one in the type."""
    if tensor.is_complex():
        dtype = dtype.to_complex()
    typed = (tensor.is_floating_point() or tensor.is_complex()) and (dtype.is_floating_point or dtype.is_complex)
    return tensor.to(dtype, copy=True) if typed else tensor.clone()


def twin_of(model: nn.Module, tensors: Mapping[int, Tensor]) -> nn.Module:
    """Return a copy of a model that holds other tensors, {id of the model's: tensor}.

    Raises:
        NotTraceable: a module keeps what cannot be copied, or two tensors over one memory, which are replaced by two.

    """
    _refuse_parted(model, tensors)
    memo = empty_containers(model) | dict(tensors)
    try:
        return deep_copy(model, memo)
    except Exception as error:
        raise _not_copied(model, memo, error) from error


def _refuse_parted(model: nn.Module, tensors: Mapping[int, Tensor]) -> None:
    """Refuse to replace what sees the memory of a parameter or buffer by what does not."""
    names = {id(tensor): name for name, tensor in (*model.named_parameters(), *model.named_buffers())}
    for group in _overlapping(held_tensors(model)):
        owner = next((one for one in group if id(one) in names), None)
        if owner is None:
            continue
        places = {pointer(tensors.get(id(one), one)) for one in group}
        if len(places) > 1:
            path, _, name = names[id(owner)].rpartition(".")
            raise NotTraceable(path, f"`{name}`, whose memory another tensor sees, such as a view that is kept", APART)


def _not_copied(model: nn.Module, memo: Mapping[int, Any], error: Exception) -> NotTraceable:
    """Return the refusal that names what a module keeps, and that cannot be copied."""
    advice = "drop it before (a result of an earlier pass, say), or keep it outside of the model"
    line = str(error).partition("\n")[0][:200]
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            if name.startswith("_") and name in vars(nn.Module()):
                continue
            try:
                copy.deepcopy(value, dict(memo))
            except Exception:  # noqa: BLE001 - whatever it is, this is what is not copied
                return NotTraceable(path, f"`{name}`, which cannot be copied ({line})", advice)
    return NotTraceable("", f"a part that cannot be copied ({line})", advice)


def empty_containers(model: nn.Module) -> dict[int, Any]:
    """Return a memo for `copy.deepcopy` with new containers for the empty ones of all modules, most of which are hooks.

    They are what copying a module would take longest for.
    """
    values = (value for module in model.modules() for value in vars(module).values())
    return {id(value): type(value)() for value in values if type(value) in EMPTY and not value}


def plain_tensors(model: nn.Module) -> list[Tensor]:
    """Return the tensors that modules keep as plain attributes, which may be results of a last pass."""
    return [value for module in model.modules() for value in vars(module).values() if isinstance(value, Tensor)]


class _Typed(TorchFunctionMode):
    """Gives every operation that names a floating type the type of the comparison."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation with its types exchanged."""
        kwargs = {name: self._typed(value) for name, value in (kwargs or {}).items()}
        if func in CASTS:
            return args[0].to(self.dtype)
        return func(*(self._typed(value) for value in args), **kwargs)

    def _typed(self, value: Any) -> Any:
        if not isinstance(value, torch.dtype):
            return value
        if value.is_complex:
            return self.dtype.to_complex()
        return self.dtype if value.is_floating_point else value


def is_in_type(model: nn.Module, dtype: torch.dtype) -> bool:
    """Return whether all floating tensors of a model are of one type, and the complex ones made of it."""
    tensors = [*model.parameters(), *model.buffers()]
    return all(in_type(tensor, dtype).dtype == tensor.dtype for tensor in tensors)


@contextmanager
def in_precision(model: nn.Module, dtype: torch.dtype, makers: bool = True, own: bool = True) -> Iterator[None]:
    """Let the code of a model that was converted from `model` ask for no other floating type than `dtype`.

    With `makers`, tensors that it makes without naming a type are of that type too; those that a program has made when
    it was drawn could not follow. With `own`, a model that is of that type already is left as it is.
    """
    if own and is_in_type(model, dtype):
        yield
        return
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype if makers else before)
    try:
        with _Typed(dtype):
            yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def full_precision(model: nn.Module) -> Iterator[None]:
    """Keep float32 from being rounded to TF32 or bfloat16 in convolutions and products."""
    backends: Any = torch.backends.cudnn
    before = backends.deterministic
    backends.deterministic = before or any(parameter.is_cuda for parameter in model.parameters())
    try:
        with full_products():
            yield
    finally:
        backends.deterministic = before
