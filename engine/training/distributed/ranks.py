"""The processes that train one network together, and the four things that they do together.

Every process holds the whole network and its own slice of each batch. Sums over the batch are sums over the processes:
of the losses' terms and of what they are divided by, of the moments of batch norms, of the Gramian of the task
gradients, of the gradient itself. Everything else, the proximal step included, each process does by itself on the same
numbers, so that the networks stay equal bit by bit without being compared.

All processes must come to the same calls in the same order. One alone comes to none: its calls return at once.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from winnow.engine.training.distributed.place import RankLostError


@dataclass(frozen=True)
class Ranks:
    """Which of the processes this is (`index`, from 0), and how many there are.

    Each method raises `RankLostError` when another process has ended.
    """

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"`index` must be below `count` = {self.count}, got {self.index}.")

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes."""
        return self.index == 0

    @torch.no_grad()
    def sum_(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by its sum over the processes, the same bits in each; return it."""
        if self.count > 1:
            with _together():
                distributed.all_reduce(tensor)
        return tensor

    @torch.no_grad()
    def agree_(self, tensor: Tensor) -> Tensor:
        """Replace a tensor by that of rank 0; return it."""
        if self.count > 1:
            with _together():
                distributed.broadcast(tensor, src=0)
        return tensor

    @torch.no_grad()
    def gathered(self, tensor: Tensor) -> Tensor:
        """Return the tensors of all processes, (count, …), of one shape."""
        found = [torch.empty_like(tensor) for _ in range(self.count)]
        if self.count == 1:
            return tensor[None]
        with _together():
            distributed.all_gather(found, tensor.contiguous())
        return torch.stack(found)

    @torch.no_grad()
    def rows(self, tensor: Tensor) -> Tensor:
        """Return the rows of all processes one below the other; they may have different numbers of rows."""
        lengths = self.gathered(torch.tensor(len(tensor)))
        padded = tensor.new_zeros(int(lengths.max()), *tensor.shape[1:])
        padded[: len(tensor)] = tensor
        return torch.cat([own[:length] for own, length in zip(self.gathered(padded), lengths.tolist(), strict=True)])

    @torch.no_grad()
    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace the gradients by their sums over the processes, all in one call."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = self.sum_(torch.cat([gradient.reshape(-1) for gradient in gradients]))
        for gradient, summed in zip(gradients, torch.split(flat, [own.numel() for own in gradients]), strict=True):
            gradient.copy_(summed.view_as(gradient))


ALONE = Ranks()


@contextmanager
def _together() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise RankLostError(f"another process of this run has ended: {error}") from error
