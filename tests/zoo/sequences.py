"""Networks of sequences, volumes, points, graphs and words, and those that generate; small, after their papers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.zoo.blocks import CrossAttention, Residual, TransformerBlock, causal_attention, cba, mlp


class Tcn(nn.Module):
    """Bai et al. 2018: dilated causal convolutions, cropped at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv1d(i, 8, 3, padding=2 * d, dilation=d) for i, d in ((6, 1), (8, 2), (8, 4)))
        self.norms, self.out = nn.ModuleList(nn.BatchNorm1d(8) for _ in range(3)), nn.Linear(8, 3)
        self.arounds = nn.ModuleList([nn.Conv1d(6, 8, 1), nn.Identity(), nn.Identity()])

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm, around in zip(self.convs, self.norms, self.arounds, strict=True):
            y = F.relu(norm(layer(x)[..., : x.shape[-1]]))
            x = around(x) + F.dropout(y, 0.1, self.training)
        return self.out(x[..., -1])


class WaveNet(nn.Module):
    """van den Oord et al. 2016: gated dilated convolutions, residual and skip sums."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.out = (
            nn.Conv1d(6, 8, 1),
            nn.Sequential(nn.ReLU(), nn.Conv1d(10, 8, 1), nn.ReLU(), nn.Conv1d(8, 4, 1)),
        )
        self.gated = nn.ModuleList(nn.Conv1d(8, 16, 2, dilation=d) for d in (1, 2, 4))
        self.back, self.skip = (nn.ModuleList(nn.Conv1d(8, w, 1) for _ in range(3)) for w in (8, 10))

    def forward(self, x: Tensor) -> Tensor:
        x, total = self.first(x), 0
        for layer, back, skip in zip(self.gated, self.back, self.skip, strict=True):
            one, two = layer(F.pad(x, (layer.dilation[0], 0))).chunk(2, 1)
            y = torch.tanh(one) * torch.sigmoid(two)
            total, x = total + skip(y), x + back(y)
        return self.out(total)


def conv_nd(inputs: int, outputs: int, kernel: int, stride: int, dims: int) -> nn.Sequential:
    layer, norm = (nn.Conv1d, nn.BatchNorm1d) if dims == 1 else (nn.Conv3d, nn.BatchNorm3d)
    return nn.Sequential(layer(inputs, outputs, kernel, stride, kernel // 2, bias=False), norm(outputs), nn.ReLU())


def resnet_nd(dims: int) -> nn.Module:
    """A residual network of one dimension (Hannun et al. 2019) or three (Hara et al. 2018)."""
    blocks = [Residual(nn.Sequential(conv_nd(8, 10, 3, 1, dims), conv_nd(10, 8, 3, 1, dims))) for _ in range(2)]
    pool = nn.AdaptiveAvgPool1d(1) if dims == 1 else nn.AdaptiveAvgPool3d(1)
    return nn.Sequential(
        conv_nd(6 if dims == 1 else 3, 8, 3, 2, dims),
        *blocks,
        conv_nd(8, 12, 3, 2, dims),
        pool,
        nn.Flatten(),
        nn.Linear(12, 5),
    )


def r2plus1d() -> nn.Module:
    """Tran et al. 2018: kernels of space and time apart."""

    def apart(inputs: int, outputs: int) -> nn.Module:
        space = [nn.Conv3d(inputs, 9, (1, 3, 3), padding=(0, 1, 1), bias=False), nn.BatchNorm3d(9), nn.ReLU()]
        return nn.Sequential(
            *space, nn.Conv3d(9, outputs, (3, 1, 1), padding=(1, 0, 0), bias=False), nn.BatchNorm3d(outputs)
        )

    return nn.Sequential(
        apart(3, 8),
        nn.ReLU(),
        Residual(apart(8, 8), act=nn.ReLU()),
        nn.AdaptiveAvgPool3d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


class PointNet(nn.Module):
    """Qi et al. 2017: a transform of the points, shared MLPs, a maximum over the points, labels of all points."""

    def __init__(self) -> None:
        super().__init__()
        self.look, self.turn = (
            nn.Sequential(nn.Conv1d(3, 8, 1), nn.ReLU()),
            nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 9)),
        )
        self.local, self.wide = (
            nn.Sequential(nn.Conv1d(3, 8, 1), nn.BatchNorm1d(8), nn.ReLU()),
            nn.Sequential(nn.Conv1d(8, 12, 1), nn.ReLU()),
        )
        self.classes, self.parts = nn.Linear(12, 4), nn.Conv1d(20, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        turn = self.turn(self.look(x).amax(2)).view(-1, 3, 3) + torch.eye(3, dtype=x.dtype)
        local = self.local(torch.bmm(x.transpose(1, 2), turn).transpose(1, 2))
        whole = self.wide(local).max(dim=2)[0]
        both = torch.cat([local, whole.unsqueeze(2).expand(-1, -1, x.shape[2])], 1)
        return {"class": self.classes(whole), "parts": self.parts(both)}


class Gcn(nn.Module):
    """Kipf & Welling 2017, with a dense adjacency matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.out = nn.Linear(6, 10), nn.Linear(10, 8), nn.Linear(8, 3)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        edges = edges + torch.eye(edges.shape[-1], dtype=edges.dtype)
        degree = edges.sum(-1).clamp(min=1e-6).rsqrt()
        edges = degree.unsqueeze(-1) * edges * degree.unsqueeze(-2)
        x = F.relu(edges @ self.one(nodes))
        return self.out(F.relu(edges @ self.two(F.dropout(x, 0.2, self.training))))


class Gat(nn.Module):
    """Veličković et al. 2018: attention over neighbours, heads concatenated."""

    def __init__(self, heads: int = 2, width: int = 5) -> None:
        super().__init__()
        self.heads, self.lift, self.out = heads, nn.Linear(6, heads * width, bias=False), nn.Linear(heads * width, 3)
        self.source, self.target = (nn.Parameter(torch.randn(heads, width)) for _ in range(2))

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        b, n, _ = nodes.shape
        x = self.lift(nodes).view(b, n, self.heads, -1)
        scores = (x * self.source).sum(-1).unsqueeze(2) + (x * self.target).sum(-1).unsqueeze(1)
        scores = F.leaky_relu(scores, 0.2).masked_fill((edges <= 0).unsqueeze(-1), -1e4)
        x = torch.einsum("bijh,bjhd->bihd", scores.softmax(2), x)
        return self.out(F.elu(x.flatten(2)))


class GraphSage(nn.Module):
    """Hamilton et al. 2017: a node beside the mean of its neighbours, by a list of edges."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(12, 10), nn.Linear(20, 3)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        for layer, act in ((self.one, F.relu), (self.two, torch.log_softmax)):
            mean = torch.zeros_like(nodes).index_add(0, edges[1], nodes[edges[0]])
            count = torch.zeros(len(nodes), dtype=nodes.dtype).index_add(
                0, edges[1], torch.ones(edges.shape[1], dtype=nodes.dtype)
            )
            y = layer(torch.cat([nodes, mean / count.clamp(min=1).unsqueeze(1)], 1))
            nodes = act(y) if act is F.relu else act(y, 1)
        return nodes


class Tagger(nn.Module):
    """Words, a recurrent layer in both directions, a label for each word."""

    def __init__(self, kind: type = nn.LSTM, layers: int = 1) -> None:
        super().__init__()
        self.words, self.body = nn.Embedding(30, 10), kind(10, 8, layers, batch_first=True, bidirectional=True)
        self.out = nn.Sequential(nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 4))

    def forward(self, words: Tensor) -> Tensor:
        return self.out(self.body(self.words(words))[0])


class CellByHand(nn.Module):
    """A GRU written out, a loop over time."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.gates, self.new, self.out = (
            nn.Embedding(30, 8),
            nn.Linear(16, 16),
            nn.Linear(16, 8),
            nn.Linear(8, 3),
        )

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words)
        state = x.new_zeros(x.shape[0], 8)
        for step in x.unbind(1):
            reset, update = torch.sigmoid(self.gates(torch.cat([step, state], 1))).chunk(2, 1)
            new = torch.tanh(self.new(torch.cat([step, reset * state], 1)))
            state = update * state + (1 - update) * new
        return self.out(state)


class TextCnn(nn.Module):
    """Kim 2014."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.convs, self.out = (
            nn.Embedding(30, 8),
            nn.ModuleList(nn.Conv1d(8, 6, k) for k in (2, 3, 4)),
            nn.Linear(18, 3),
        )

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words).mT
        return self.out(F.dropout(torch.cat([F.relu(layer(x)).amax(2) for layer in self.convs], 1), 0.1, self.training))


class Seq2Seq(nn.Module):
    """Vaswani et al. 2017 by torch's own layers, with a causal mask."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(30, width), nn.Linear(width, 30)
        encoder = nn.TransformerEncoderLayer(width, 4, 24, 0.1, batch_first=True)
        decoder = nn.TransformerDecoderLayer(width, 4, 24, 0.1, batch_first=True)
        self.encoder, self.decoder = (
            nn.TransformerEncoder(encoder, 1, enable_nested_tensor=False),
            nn.TransformerDecoder(decoder, 1),
        )

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        length = target.shape[1]
        mask = torch.full((length, length), -1e9, dtype=self.out.weight.dtype).triu(1)
        return self.out(self.decoder(self.words(target), self.encoder(self.words(source)), tgt_mask=mask))


class Bert(nn.Module):
    """Devlin et al. 2019: words, places and parts summed and normalised."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.words, self.places, self.parts = nn.Embedding(30, width), nn.Embedding(20, width), nn.Embedding(2, width)
        self.norm, self.bias = nn.LayerNorm(width), nn.Parameter(torch.zeros(30))
        self.attend, self.mlps = (
            nn.ModuleList(CrossAttention(width, 4) for _ in range(2)),
            nn.ModuleList(mlp(width, 24) for _ in range(2)),
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.pool, self.pair = nn.Linear(width, width), nn.Linear(width, 2)

    def forward(self, words: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        places = torch.arange(words.shape[1])
        x = self.norm(self.words(words) + self.places(places) + self.parts(torch.zeros_like(words)))
        other = None if mask is None else (1.0 - mask[:, None, None, :]) * -1e4
        for i in range(2):
            x = self.norms[2 * i](x + self.attend[i](x, mask=other))
            x = self.norms[2 * i + 1](x + self.mlps[i](x))
        return {"words": F.linear(x, self.words.weight, self.bias), "pair": self.pair(torch.tanh(self.pool(x[:, 0])))}


class Gpt(nn.Module):
    """Radford et al. 2019: norms before, causal attention, words tied with the output."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(30, width), nn.Embedding(20, width)
        self.blocks = nn.ModuleList(TransformerBlock(width, 4, attention=causal_attention) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 30, bias=False)
        self.head.weight = self.words.weight

    def forward(self, words: Tensor) -> Tensor:
        x = self.words(words) + self.places(torch.arange(words.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def rotated(x: Tensor) -> Tensor:
    """Su et al. 2021: pairs of a head's dimensions turned by the place."""
    length, half = x.shape[-2], x.shape[-1] // 2
    angle = torch.arange(length, dtype=x.dtype)[:, None] * 10000 ** (-torch.arange(half, dtype=x.dtype) / half)
    angle = torch.cat([angle, angle], -1)
    one, two = x.chunk(2, -1)
    return x * angle.cos() + torch.cat([-two, one], -1) * angle.sin()


class GroupedQueries(nn.Module):
    """Ainslie et al. 2023: several queries to a head of keys and values, rotary places."""

    def __init__(self, width: int, heads: int, shared: int) -> None:
        super().__init__()
        self.heads, self.shared, self.size = heads, shared, width // heads
        self.q, self.k, self.v, self.o = (
            nn.Linear(width, n * self.size, bias=False) for n in (heads, shared, shared, heads)
        )
        self.o = nn.Linear(heads * self.size, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        b, n, _ = x.shape
        q, k, v = (f(x).view(b, n, -1, self.size).transpose(1, 2) for f in (self.q, self.k, self.v))
        q, k = rotated(q), rotated(k)
        k, v = (t.repeat_interleave(self.heads // self.shared, dim=1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(y.transpose(1, 2).reshape(b, n, -1))


class LlamaBlock(nn.Module):
    def __init__(self, width: int, heads: int, shared: int) -> None:
        super().__init__()
        self.norm1, self.norm2, self.attn = nn.RMSNorm(width), nn.RMSNorm(width), GroupedQueries(width, heads, shared)
        self.gate, self.up, self.down = (
            nn.Linear(i, o, bias=False) for i, o in ((width, 24), (width, 24), (24, width))
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        y = self.norm2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Llama(nn.Module):
    """Touvron et al. 2023: root-mean-square norms, gated MLPs, rotary places, grouped queries."""

    def __init__(self, width: int = 16, shared: int = 2) -> None:
        super().__init__()
        self.words, self.blocks = (
            nn.Embedding(30, width),
            nn.Sequential(*(LlamaBlock(width, 4, shared) for _ in range(2))),
        )
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, 30, bias=False)

    def forward(self, words: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.words(words))))


class T5(nn.Module):
    """Raffel et al. 2020: a table of relative distances, norms without a mean, an encoder and a decoder."""

    def __init__(self, width: int = 16, heads: int = 4) -> None:
        super().__init__()
        self.words, self.table = nn.Embedding(30, width), nn.Embedding(9, heads)
        self.one, self.two, self.cross = (CrossAttention(width, heads, bias=False) for _ in range(3))
        self.ffs = nn.ModuleList(
            nn.Sequential(nn.Linear(width, 24, bias=False), nn.ReLU(), nn.Linear(24, width, bias=False))
            for _ in range(2)
        )
        self.norms, self.out = nn.ModuleList(nn.RMSNorm(width) for _ in range(6)), nn.Linear(width, 30, bias=False)
        self.scale = width**-0.5

    def _bias(self, length: int) -> Tensor:
        places = torch.arange(length)
        return self.table((places[None] - places[:, None]).clamp(-4, 4) + 4).permute(2, 0, 1)[None]

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        x, y = self.words(source), self.words(target)
        x = x + self.one(self.norms[0](x), mask=self._bias(x.shape[1]))
        x = self.norms[2](x + self.ffs[0](self.norms[1](x)))
        later = torch.full((y.shape[1], y.shape[1]), -1e9, dtype=y.dtype).triu(1)
        y = y + self.two(self.norms[3](y), mask=self._bias(y.shape[1]) + later)
        y = y + self.cross(self.norms[4](y), x)
        return self.out(self.norms[5](y + self.ffs[1](y)) * self.scale)


class Autoencoder(nn.Module):
    """Hinton & Salakhutdinov 2006; variational (Kingma & Welling 2014): noise in training mode."""

    def __init__(self, variational: bool = False) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 10), nn.ReLU())
        self.mean, self.spread = nn.Linear(10, 6), nn.Linear(10, 6) if variational else None
        self.decoder = nn.Sequential(nn.Linear(6, 14), nn.ReLU(), nn.Linear(14, 12))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.encoder(x)
        mean = code = self.mean(x)
        if self.spread is None:
            return {"out": self.decoder(code)}
        spread = self.spread(x)
        if self.training:
            code = mean + torch.randn_like(mean) * torch.exp(0.5 * spread)
        return {"out": self.decoder(code), "mean": mean, "spread": spread}


class ConvVae(nn.Module):
    """A variational autoencoder of images."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.code = nn.Sequential(cba(3, 6, 3, 2), cba(6, 8, 3, 2)), nn.Linear(8 * 64, 10)
        self.lift, self.up = (
            nn.Linear(5, 8 * 16),
            nn.Sequential(nn.ConvTranspose2d(8, 6, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(6, 3, 4, 2, 1)),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, spread = self.code(self.encoder(x).flatten(1)).chunk(2, dim=1)
        code = mean + torch.randn_like(mean) * spread.exp() if self.training else mean
        return torch.sigmoid(self.up(self.lift(code).view(-1, 8, 4, 4))), spread
