"""`python -P tests/benchmarks/gpu.py [--small]`: what Proximal and compaction cost and save on a GPU, as JSON.

    step       step with prox ÷ without, ResNet-50, 256², batch 32, in float32 and in bfloat16 autocast (target ≤ 1.05)
    compact    dense ÷ compact time of a forward pass, eager and compiled, with 50, 70 and 90 % of the groups zero
    scaler     GradScaler in float16: a step with an infinite gradient moves nothing, the next one does
    same       the largest difference of weights between CPU and GPU after a few steps, relative, by type
    captured   a capturable AdamW with its prox in a CUDA graph: whether its replay moves the weights
    graphed    as `step`, with the whole step in a CUDA graph, where no launch is paid for

It needs torch, numpy and what `winnow.engine` imports: pandas (stood in for where it is missing, as no table is made),
and pydantic for `compact` alone, which says so where that is missing. On a machine without a GPU, --small runs all of
it on the CPU within a minute, without a compiler. Parts that begin after --seconds are left out, and say so.
"""

import argparse
import contextlib
import copy
import importlib.util
import json
import statistics
import sys
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

if importlib.util.find_spec("pandas") is None:

    class _Tables(types.ModuleType):
        def __getattr__(self, name: str) -> type:
            return object

    sys.modules["pandas"] = _Tables("pandas")

from winnow.engine.sparsity.groups import Group, banks, coupled_groups, input_groups, output_groups
from winnow.engine.sparsity.penalties import L1, GroupLasso, GroupMCP, Penalty, SparseGroupLasso
from winnow.engine.sparsity.proximal import Kept, Proximal

OPTIMISERS: dict[str, Callable[[Any], torch.optim.Optimizer]] = {
    "sgd": lambda p: torch.optim.SGD(p, 1e-2, momentum=0.9),
    "adamw": lambda p: torch.optim.AdamW(p, 1e-3),
}


@dataclass(frozen=True)
class Size:
    """How large the networks and how long the measurements are."""

    widths: tuple[int, ...]
    blocks: tuple[int, ...]
    image: int
    batch: int
    rounds: int
    steps: int


FULL = Size((64, 128, 256, 512), (3, 4, 6, 3), 256, 32, 7, 10)
SMALL = Size((8, 16), (1, 1), 32, 2, 3, 2)


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1 with batch norms and a shortcut (He et al. 2016), the stride in the middle."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(inputs, width, 1, bias=False), nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.three = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (width, width, 4 * width))
        short = nn.Sequential(nn.Conv2d(inputs, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width))
        self.short = short if stride > 1 or inputs != 4 * width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, 4·width, H/stride, W/stride)."""
        y = self.norms[0](self.one(x)).relu()
        y = self.norms[1](self.two(y)).relu()
        return (self.norms[2](self.three(y)) + self.short(x)).relu()


def resnet(size: Size) -> nn.Sequential:
    """Return a ResNet (ResNet-50 at full size) with ten outputs."""
    torch.manual_seed(0)
    first = size.widths[0]
    layers: list[nn.Module] = [nn.Conv2d(3, first, 7, 2, 3, bias=False), nn.BatchNorm2d(first), nn.ReLU()]
    layers.append(nn.MaxPool2d(3, 2, 1))
    inputs = first
    for number, (width, count) in enumerate(zip(size.widths, size.blocks, strict=True)):
        for place in range(count):
            layers.append(Bottleneck(inputs, width, 2 if place == 0 and number > 0 else 1))
            inputs = 4 * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))


def wait(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], times: int, device: torch.device) -> float:
    """Return how long `times` runs take, without the first."""
    run()
    wait(device)
    began = time.perf_counter()
    for _ in range(times):
        run()
    wait(device)
    return time.perf_counter() - began


def step_ratios(size: Size, device: torch.device) -> Iterator[tuple[str, Any]]:
    """Yield the ratio of a step with prox to one without, side by side."""
    for half in (False, True):
        for name, make in OPTIMISERS.items():
            plain = resnet(size).to(device, memory_format=torch.channels_last)
            sparse = copy.deepcopy(plain)
            shape = (size.batch, 3, size.image, size.image)
            images = torch.randn(shape, device=device).to(memory_format=torch.channels_last)
            proximal = Proximal(make(sparse.parameters()), input_groups(sparse), GroupLasso(1e-5))
            pair = [stepping(plain, make(plain.parameters()), images, half), stepping(sparse, proximal, images, half)]
            taken = [[seconds(step, size.steps, device) for step in pair] for _ in range(size.rounds)]
            ratio = statistics.median(ours / bare for bare, ours in taken)
            bare = statistics.median(first for first, _ in taken) / size.steps
            key = f"{name}, {'bfloat16' if half else 'float32'}"
            yield (
                key,
                {"ratio": round(ratio, 4), "bare_ms": round(1000 * bare, 2), "groups": sum(map(len, proximal.norms))},
            )


def stepping(net: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, half: bool) -> Callable[[], None]:
    """Return a training step."""

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
            loss = net(images).float().square().mean()
        loss.backward()
        optimizer.step()

    return step


def compact_speed(size: Size, device: torch.device, allowed: Callable[[], bool]) -> Iterator[tuple[str, Any]]:
    """Yield dense ÷ compact time of a forward pass."""
    from winnow.engine.pruning import compact

    net = resnet(size).eval()
    example = torch.randn(2, 3, size.image, size.image)
    images = torch.randn(size.batch, 3, size.image, size.image, device=device).to(memory_format=torch.channels_last)
    dense: dict[str, float] = {}
    for share in (0, 50, 70, 90):
        own = copy.deepcopy(net)
        chance = torch.Generator().manual_seed(share)
        for bank in banks(coupled_groups(own, example)):
            alive = torch.rand(bank.channels, generator=chance) >= share / 100
            alive[0] = True
            bank.scale_(alive.float())
        small = (compact(own, example, gather="never").model if share else own).eval()
        small = small.to(device, memory_format=torch.channels_last)
        for way in ("eager", "compiled"):
            if not allowed():
                yield f"{share} %, {way}", "left out: no time"
                continue
            with torch.inference_mode():
                taken = forward_time(small, images, way, size, device)
            if share:
                yield f"{share} %, {way}", round(dense[way] / taken, 3) if way in dense else "left out"
            else:
                dense[way] = taken


def forward_time(net: nn.Module, images: Tensor, way: str, size: Size, device: torch.device) -> float:
    """Return the median time of some forward passes."""
    model = torch.compile(net, backend="inductor" if size is FULL else "eager") if way == "compiled" else net
    return statistics.median(seconds(lambda: model(images), size.steps, device) for _ in range(size.rounds))


def scaler_run(device: torch.device) -> dict[str, Any]:
    """Take two scaled steps, of which the first has an infinite gradient."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).to(device)
    proximal = Proximal(torch.optim.AdamW(net.parameters(), 1e-2), input_groups(net), GroupLasso(1e3))
    scaler = torch.amp.GradScaler(device.type, init_scale=4.0)
    x, before = torch.randn(8, 16, device=device), net[0].weight.clone()
    kind = torch.float16 if device.type == "cuda" else torch.bfloat16
    found: dict[str, Any] = {}
    for infinite in (True, False):
        proximal.zero_grad()
        with torch.autocast(device.type, kind):
            loss = net(x).float().square().mean()
        scaler.scale(loss).backward()
        if infinite:
            net[2].bias.grad[0] = torch.inf  # type: ignore[union-attr, index]
        scaler.step(proximal)
        scaler.update()
        if infinite:
            found["skipped"] = bool(torch.equal(net[0].weight, before))
    found["zero groups"] = [int((norms == 0).sum()) for norms in proximal.norms]
    return found


def same_everywhere(device: torch.device) -> dict[str, float]:
    """Return the largest relative difference between CPU and GPU after three steps on the same gradients, by type."""
    worst: dict[str, float] = {}
    penalties: list[Penalty] = [GroupLasso(0.02), SparseGroupLasso(0.02), GroupMCP(0.02), L1(0.02)]
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        for penalty in penalties:
            for kind in ("input", "output", "coupled"):
                for name, make in OPTIMISERS.items():
                    if isinstance(penalty, GroupMCP) and kind == "coupled" and name == "adamw":
                        continue
                    one, two = (moved(place, dtype, penalty, kind, make) for place in (torch.device("cpu"), device))
                    error = max(
                        float((a - b).abs().max() / b.abs().max().clamp(min=1e-3))
                        for a, b in zip(one, two, strict=True)
                    )
                    worst[str(dtype)] = max(worst.get(str(dtype), 0.0), error)
    return worst


def moved(
    device: torch.device, dtype: torch.dtype, penalty: Penalty, kind: str, make: Callable[[Any], torch.optim.Optimizer]
) -> list[Tensor]:
    """Return the penalised weights after three steps with gradients that do not depend on them."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 8, 3, bias=False))
    groups = drawn(net.to(device), kind, torch.randn(2, 3, 8, 8, device=device))
    net.to(dtype)
    proximal = Proximal(make(net.parameters()), groups, penalty, Kept(floor=0.1))
    chance = torch.Generator().manual_seed(1)
    for _ in range(3):
        for parameter in net.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=chance).to(device, dtype)
        proximal.step()
    held = {id(p): p for bank in proximal.banks for p in bank.parameters}
    return [p.detach().double().cpu() for p in held.values()]


def drawn(net: nn.Module, kind: str, example: Tensor) -> list[Group]:
    """Return the groups of a kind."""
    if kind == "input":
        return input_groups(net)
    return output_groups(net, example) if kind == "output" else coupled_groups(net, example)


def captured(device: torch.device) -> str:
    """Capture a step in a CUDA graph and replay it."""
    if device.type != "cuda":
        return "left out: no GPU"
    net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4)).to(device)
    make = torch.optim.AdamW(net.parameters(), torch.tensor(1e-2, device=device), capturable=True)
    proximal = Proximal(make, input_groups(net), GroupLasso(1e-2))
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            proximal.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        proximal.step()
    before = net[0].weight.clone()
    graph.replay()
    wait(device)
    return "works" if not torch.equal(before, net[0].weight) else "replays nothing"


def graphed(size: Size, device: torch.device) -> Any:
    """Return the ratio of a captured step with prox to one without, side by side."""
    if device.type != "cuda":
        return "left out: no GPU"
    plain = resnet(size).to(device, memory_format=torch.channels_last)
    sparse = copy.deepcopy(plain)
    images = torch.randn(size.batch, 3, size.image, size.image, device=device).to(memory_format=torch.channels_last)
    bare, inner = (torch.optim.AdamW(net.parameters(), capturable=True) for net in (plain, sparse))
    proximal = Proximal(inner, input_groups(sparse), GroupLasso(1e-5))
    pair = [replaying(stepping(plain, bare, images, False)), replaying(stepping(sparse, proximal, images, False))]
    taken = [[seconds(step, size.steps, device) for step in pair] for _ in range(size.rounds)]
    ratio = statistics.median(ours / alone for alone, ours in taken)
    return {"ratio": round(ratio, 4), "bare_ms": round(1000 * statistics.median(t for t, _ in taken) / size.steps, 2)}


def replaying(step: Callable[[], None]) -> Callable[[], None]:
    """Return what replays a step from a CUDA graph."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main() -> None:
    """Measure all of it and print it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--small", action="store_true", help="tiny networks, for a machine without a GPU")
    parser.add_argument("--seconds", type=float, default=240.0, help="no part begins later than this")
    asked = parser.parse_args()
    began, size = time.monotonic(), SMALL if asked.small else FULL
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    found: dict[str, Any] = {"device": name, "torch": torch.__version__, "python": sys.version.split()[0]}

    def allowed() -> bool:
        return time.monotonic() - began < asked.seconds

    parts: dict[str, Callable[[], Any]] = {
        "step": lambda: dict(step_ratios(size, device)),
        "scaler": lambda: scaler_run(device),
        "same": lambda: same_everywhere(device),
        "captured": lambda: captured(device),
        "graphed": lambda: graphed(size, device),
        "compact": lambda: dict(compact_speed(size, device, allowed)),
    }
    for part, measure in parts.items():
        started = time.monotonic()
        found[part] = "left out: no time"
        with contextlib.suppress(KeyboardInterrupt):
            if allowed():
                try:
                    found[part] = measure()
                except Exception as error:  # the other parts are worth having
                    found[part] = f"{type(error).__name__}: {error}"[:500]
        found[f"{part}_seconds"] = round(time.monotonic() - started, 1)
        print(json.dumps({part: found[part]}), file=sys.stderr, flush=True)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
