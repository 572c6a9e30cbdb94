"""Gradients of the tasks and what is said about them: their Gramian, their cosines, who pulls against whom.

A task gradient is a row: one tensor where it is taken at the features, one per parameter where it is taken at these.
The Gramian G_st = ⟨g_s, g_t⟩ of the K rows is all that the methods and the conflict panel need. Rows and Gramian are of
the task's own, unweighted loss; a task without labels in the batch has a row of zeros.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

Row = Sequence[Tensor | None]


def task_rows(losses: Sequence[Tensor], at: Sequence[Tensor]) -> list[Row]:
    """Return the gradient of every loss with respect to the tensors `at`; all graphs stay usable."""
    return [
        torch.autograd.grad(loss, at, retain_graph=True, allow_unused=True) if loss.requires_grad else [None] * len(at)
        for loss in losses
    ]


def gramian(losses: Mapping[str, Tensor], at: Sequence[Tensor]) -> Tensor:
    """Return the Gramian (K, K) of the task gradients at `at`, float64 on the CPU; a backward may follow.

    Args:
        losses: scalar loss of every task, graphs attached.
        at: `[features]`, the output of the shared trunk, or the trunk's parameters (K more passes through it).

    """
    return inner_products(task_rows(list(losses.values()), at))


def inner_products(rows: Sequence[Row]) -> Tensor:
    """Return all ⟨row_s, row_t⟩, (K, K), summed in float32 and returned in float64 on the CPU."""
    flat = [[None if part is None else _flat(part) for part in row] for row in rows]
    count = len(rows)
    upper = [_inner(flat[s], flat[t]) for s in range(count) for t in range(s, count)]
    device = next((part.device for row in flat for part in row if part is not None), torch.device("cpu"))
    values = torch.stack([value.to(device) for value in upper]).cpu().double()
    s, t = torch.triu_indices(count, count)
    products = torch.zeros(count, count, dtype=torch.float64)
    products[s, t] = values
    products[t, s] = values
    return products


def cosines(products: Tensor) -> Tensor:
    """Return the cosine of every two task gradients from their Gramian, (K, K); NaN where one of them is zero."""
    lengths = products.diagonal().clamp(min=0).sqrt()
    lengths = lengths.masked_fill(lengths == 0, torch.nan)
    return (products / lengths[:, None] / lengths).clamp(-1, 1)


def conflict(products: Tensor, tasks: Sequence[str]) -> pd.DataFrame:
    """Return the conflict of tasks from their Gramian, one row for every two tasks.

    Columns: task, other, cosine (below 0: what helps one harms the other; NaN: a task without gradient),
    length_ratio (‖g_task‖/‖g_other‖; inf or NaN where a gradient is zero).
    """
    cosine, lengths = cosines(products), products.diagonal().clamp(min=0).sqrt()
    ratios = lengths[:, None] / lengths
    rows = [
        (task, other, float(cosine[s, t]), float(ratios[s, t]))
        for s, task in enumerate(tasks)
        for t, other in enumerate(tasks)
        if s < t
    ]
    return pd.DataFrame(rows, columns=["task", "other", "cosine", "length_ratio"])


def _flat(tensor: Tensor) -> Tensor:
    """Return the entries as a float vector, without a copy where memory allows: rows of one place lie alike."""
    if tensor.dim() == 4 and tensor.is_contiguous(memory_format=torch.channels_last):
        tensor = tensor.permute(0, 2, 3, 1)
    return tensor.detach().reshape(-1).float() if tensor.dtype.itemsize < 4 else tensor.detach().reshape(-1)


def _inner(one: Row, other: Row) -> Tensor:
    parts = [torch.dot(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    return torch.stack(parts).sum() if parts else torch.zeros(())
