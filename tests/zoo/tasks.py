"""Networks of several tasks, and those of tables: experts, cross-stitch, attention masks, distillation, embeddings."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.blocks import cba, conv
from tests.zoo.dense import Stages, resized

TASKS = {"seg": 4, "depth": 1, "normal": 3}


class HardSharing(nn.Module):
    """Caruana 1997: one trunk, a head for each task; on request one head by the name given (ASTMT's argument)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Stages()
        self.heads = nn.ModuleDict({name: nn.Sequential(cba(10, 8), conv(8, n, 1)) for name, n in TASKS.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.body(x)[-1]
        return {name: resized(head(y), x) for name, head in self.heads.items()}


class Mtan(nn.Module):
    """Liu et al. 2019: each task masks the features of the shared trunk, stage by stage."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three, self.four = cba(3, 8), cba(8, 8), cba(8, 10), cba(10, 10)
        self.mask1 = nn.ModuleDict({t: self._mask(8, 8) for t in TASKS})
        self.mask2 = nn.ModuleDict({t: self._mask(20, 10) for t in TASKS})
        self.between = nn.ModuleDict({t: cba(8, 10) for t in TASKS})
        self.heads = nn.ModuleDict({t: conv(10, n, 1) for t, n in TASKS.items()})

    def _mask(self, inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(cba(inputs, 6, 1), conv(6, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.Sigmoid())

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        early = self.one(x)
        late = self.two(early)
        deep = self.three(F.max_pool2d(late, 2))
        deeper, found = self.four(deep), {}
        for task in TASKS:
            y = self.between[task](F.max_pool2d(self.mask1[task](early) * late, 2))
            found[task] = resized(self.heads[task](self.mask2[task](torch.cat([deep, y], 1)) * deeper), x)
        return found


class CrossStitch(nn.Module):
    """Misra et al. 2016: a trunk for each task, mixed by learned weights, one for all channels or one for each."""

    def __init__(self, each: bool = False) -> None:
        super().__init__()
        self.trunks = nn.ModuleDict({t: nn.ModuleList([cba(3, 8, 3, 2), cba(8, 10, 3, 2)]) for t in TASKS})
        count, shape = len(TASKS), (lambda width: (width, 1, 1)) if each else lambda width: ()
        self.mix = nn.ParameterList(nn.Parameter(torch.rand(count, count, *shape(width))) for width in (8, 10))
        self.heads = nn.ModuleDict({t: conv(10, n, 1) for t, n in TASKS.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        values = [x] * len(TASKS)
        for level, weights in enumerate(self.mix):
            made = [self.trunks[task][level](value) for task, value in zip(TASKS, values, strict=True)]
            values = [sum(w * y for w, y in zip(row, made, strict=True)) for row in weights]
        return {task: resized(self.heads[task](y), x) for task, y in zip(TASKS, values, strict=True)}


class NddrCnn(nn.Module):
    """Gao et al. 2019: the trunks concatenated, and a 1×1 convolution for each."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.ModuleList(cba(3, 8) for _ in range(2)), nn.ModuleList(cba(6, 8) for _ in range(2))
        self.fuse, self.heads = (
            nn.ModuleList(cba(16, 6, 1) for _ in range(2)),
            nn.ModuleList(conv(8, n, 1) for n in (4, 1)),
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        y = torch.cat([layer(x) for layer in self.one], 1)
        return [head(two(fuse(y))) for head, two, fuse in zip(self.heads, self.two, self.fuse, strict=True)]


class PadNet(nn.Module):
    """Xu et al. 2018: first predictions, then gated messages between the tasks, then final predictions."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Stages((8, 10, 12))
        self.first = nn.ModuleDict({t: cba(12, 8) for t in TASKS})
        self.early = nn.ModuleDict({t: conv(8, n, 1) for t, n in TASKS.items()})
        self.message, self.gate = (nn.ModuleDict({t: conv(8, 8) for t in TASKS}) for _ in range(2))
        self.last = nn.ModuleDict({t: nn.Sequential(cba(8, 6), conv(6, n, 1)) for t, n in TASKS.items()})

    def forward(self, x: Tensor) -> dict[str, dict[str, Tensor]]:
        y = self.body(x)[-1]
        features = {task: layer(y) for task, layer in self.first.items()}
        found = {"early": {task: self.early[task](f) for task, f in features.items()}, "late": {}}
        for task in TASKS:
            gate = torch.sigmoid(self.gate[task](features[task]))
            total = features[task]
            for other in TASKS:
                if other != task:
                    total = total + gate * self.message[other](features[other])
            found["late"][task] = resized(self.last[task](total), x)
        return found


class MtiNet(nn.Module):
    """Vandenhende et al. 2020: distillation at every scale, features propagated from coarse to fine."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Stages((6, 8))
        self.coarse, self.fine = (nn.ModuleDict({t: cba(w, 6) for t in TASKS}) for w in (8, 12))
        self.excite = nn.ModuleDict(
            {t: nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 6), nn.Sigmoid()) for t in TASKS}
        )
        self.attend, self.out = (
            nn.ModuleDict({t: conv(6, 6) for t in TASKS}),
            nn.ModuleDict({t: conv(12, n, 1) for t, n in TASKS.items()}),
        )

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        fine, coarse = self.body(x)
        low = {task: layer(coarse) for task, layer in self.coarse.items()}
        excited = {t: y * self.excite[t](y.mean((2, 3)))[..., None, None] for t, y in low.items()}
        high = {t: self.fine[t](torch.cat([fine, resized(excited[t], fine)], 1)) for t in TASKS}
        found = {}
        for task in TASKS:
            others = torch.stack([torch.sigmoid(self.attend[o](high[o])) * high[o] for o in TASKS if o != task]).sum(0)
            found[task] = resized(self.out[task](torch.cat([high[task] + others, resized(low[task], fine)], 1)), x)
        return found


class TaskArgument(nn.Module):
    """ASTMT (Maninis et al. 2019): one task at a time, with its own squeeze-excite and its own norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.conv = cba(3, 8), conv(8, 10, bias=False)
        self.norms = nn.ModuleDict({t: nn.BatchNorm2d(10) for t in TASKS})
        self.gates = nn.ModuleDict(
            {t: nn.Sequential(nn.Linear(10, 4), nn.ReLU(), nn.Linear(4, 10), nn.Sigmoid()) for t in TASKS}
        )
        self.heads = nn.ModuleDict({t: conv(10, n, 1) for t, n in TASKS.items()})

    def forward(self, x: Tensor, task: str = "seg") -> Tensor:
        y = F.relu(self.norms[task](self.conv(self.stem(x))))
        return self.heads[task](y * self.gates[task](y.mean((2, 3)))[:, :, None, None])


class Mmoe(nn.Module):
    """Ma et al. 2018: experts, and for every task a softmax over them."""

    def __init__(self, experts: int = 4) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU()) for _ in range(experts)
        )
        self.gates = nn.ModuleList(nn.Linear(12, experts) for _ in range(2))
        self.towers = nn.ModuleList(nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 1)) for _ in range(2))

    def forward(self, x: Tensor) -> list[Tensor]:
        made = torch.stack([expert(x) for expert in self.experts], 1)
        mixed = [(gate(x).softmax(-1).unsqueeze(-1) * made).sum(1) for gate in self.gates]
        return [tower(y) for tower, y in zip(self.towers, mixed, strict=True)]


class Ple(nn.Module):
    """Tang et al. 2020: shared experts and a task's own, in two levels (CGC is one)."""

    def __init__(self, levels: int = 2) -> None:
        super().__init__()
        expert = lambda i: nn.Sequential(nn.Linear(i, 8), nn.ReLU())  # noqa: E731
        self.own = nn.ModuleList(
            nn.ModuleList(nn.ModuleList(expert(8 if n else 12) for _ in range(2)) for _ in range(2))
            for n in range(levels)
        )
        self.shared = nn.ModuleList(nn.ModuleList(expert(8 if n else 12) for _ in range(2)) for n in range(levels))
        self.gates = nn.ModuleList(
            nn.ModuleList(nn.Linear(8 if n else 12, c) for c in (4, 4, 6)) for n in range(levels)
        )
        self.towers = nn.ModuleList(nn.Linear(8, 1) for _ in range(2))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        values = [x, x, x]
        for own, shared, gates in zip(self.own, self.shared, self.gates, strict=True):
            made = [[expert(values[i]) for expert in own[i]] for i in range(2)]
            common = [expert(values[2]) for expert in shared]
            sets = [made[0] + common, made[1] + common, made[0] + made[1] + common]
            values = [
                torch.einsum("be,bed->bd", gate(v).softmax(-1), torch.stack(s, 1))
                for gate, v, s in zip(gates, values, sets, strict=True)
            ]
        return tuple(tower(v) for tower, v in zip(self.towers, values, strict=False))


class Dlrm(nn.Module):
    """Naumov et al. 2019: embeddings and a bottom MLP, products of all pairs, a top MLP."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(20, width) for _ in range(3))
        self.bottom = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, width), nn.ReLU())
        self.top = nn.Sequential(nn.Linear(width + 6, 12), nn.ReLU(), nn.Linear(12, 1))

    def forward(self, numbers: Tensor, kinds: Tensor) -> Tensor:
        x = self.bottom(numbers)
        every = torch.stack([x, *(table(kinds[:, i]) for i, table in enumerate(self.tables))], 1)
        pairs = every @ every.transpose(1, 2)
        rows, columns = torch.tril_indices(4, 4, -1)
        return self.top(torch.cat([x, pairs[:, rows, columns]], 1))


class DeepFm(nn.Module):
    """Guo et al. 2017: a factorisation machine and an MLP on the same embeddings."""

    def __init__(self, fields: int = 3, width: int = 6) -> None:
        super().__init__()
        self.first, self.table = nn.Embedding(60, 1), nn.Embedding(60, width)
        self.deep = nn.Sequential(
            nn.Linear(fields * width, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.1), nn.Linear(12, 1)
        )

    def forward(self, kinds: Tensor) -> Tensor:
        x = self.table(kinds)
        second = 0.5 * (x.sum(1).pow(2) - x.pow(2).sum(1)).sum(1, keepdim=True)
        return torch.sigmoid(self.first(kinds).sum(1) + second + self.deep(x.flatten(1)))


class WideDeep(nn.Module):
    """Cheng et al. 2016."""

    def __init__(self) -> None:
        super().__init__()
        self.wide, self.table = nn.Linear(6, 1), nn.Embedding(30, 4)
        self.deep = nn.Sequential(nn.Linear(6 + 12, 16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 1))

    def forward(self, numbers: Tensor, kinds: Tensor) -> Tensor:
        x = torch.cat([numbers, self.table(kinds).flatten(1)], dim=1)
        return self.wide(numbers) + self.deep(x)


class CrossNet(nn.Module):
    """Wang et al. 2017: x₀ ⊙ (W x + b) + x, beside an MLP (DCN v2)."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.cross = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.deep, self.out = (
            nn.Sequential(nn.Linear(width, 14), nn.ReLU(), nn.Linear(14, 8), nn.ReLU()),
            nn.Linear(width + 8, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self.cross:
            y = x * layer(y) + y
        return self.out(torch.cat([y, self.deep(x)], 1))


class FtTransformer(nn.Module):
    """Gorishniy et al. 2021: every number of a table is a token."""

    def __init__(self, width: int = 12) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(6, width)), nn.Parameter(torch.randn(6, width))
        layer = nn.TransformerEncoderLayer(width, 3, 16, 0.1, batch_first=True, norm_first=True)
        self.token, self.body = (
            nn.Parameter(torch.randn(1, 1, width)),
            nn.TransformerEncoder(layer, 2, enable_nested_tensor=False),
        )
        self.head = nn.Sequential(nn.LayerNorm(width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = x.unsqueeze(-1) * self.weight + self.bias
        return self.head(self.body(torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1))[:, 0])


class TabResNet(nn.Module):
    """Gorishniy et al. 2021: residual blocks for tables."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.blocks = (
            nn.Linear(12, 10),
            nn.ModuleList(
                nn.Sequential(nn.BatchNorm1d(10), nn.Linear(10, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 10))
                for _ in range(2)
            ),
        )
        self.head = nn.Sequential(nn.BatchNorm1d(10), nn.ReLU(), nn.Linear(10, 2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(x)
