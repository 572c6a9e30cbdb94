"""Random programs: what the graph calls dead can go, on every call, in both modes and at other sizes; or it is refused.

And a model that was traced is, to the byte, what it was.
"""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.engine.graph.random_programs import CONTAINERS, KINDS, Gene, random_program
from tests.engine.graph.surgery import removed
from winnow.engine.graph.calls import Call, run
from winnow.engine.graph.containers import flatten
from winnow.engine.graph.examples import at_other_sizes, with_images
from winnow.engine.graph.graph import ChannelGraph
from winnow.engine.graph.liveness import Liveness
from winnow.engine.graph.modes import in_mode
from winnow.engine.graph.trace import trace

genes = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 20)), min_size=1, max_size=7)


def digest(net: nn.Module) -> list[object]:
    """Return all that a model holds: weights and buffers as bytes, attributes by value or identity, hooks, modes."""
    found: list[object] = []
    for name, module in net.named_modules():
        for key, value in vars(module).items():
            if key in ("_parameters", "_buffers"):
                tensors = [(k, id(t), None if t is None else t.detach().numpy().tobytes()) for k, t in value.items()]
                found.append((name, key, tensors))
            elif isinstance(value, dict | list):
                found.append((name, key, id(value), [id(part) for part in value], len(value)))
            else:
                found.append((name, key, id(value)))
    return found


def outputs(net: nn.Module, call: Call, training: bool) -> list[tuple[str, Tensor]]:
    with torch.no_grad(), torch.random.fork_rng(devices=[]), in_mode(net, training):
        torch.manual_seed(1)
        return flatten(run(net, call))


def calls_at_sizes(calls: list[Call]) -> list[Call]:
    more = [with_images(calls[1], 3), with_images(calls[0], 1), *at_other_sizes(calls[0]).values()]
    return [*calls, *more, *at_other_sizes(calls[2]).values()]


def silence(net: nn.Module, graph: ChannelGraph, seed: int) -> None:
    """Zero all that writes and all that reads a channel, for random channels that can go; one of each space stays."""
    generator = torch.Generator().manual_seed(seed)
    parameters = dict(net.named_parameters())
    for space in graph.spaces:
        dead = torch.rand(len(space.channels), generator=generator) < 0.6
        dead[torch.randint(len(dead), (1,), generator=generator)] = False
        for channel in dead.nonzero().ravel().tolist() if space.removable else ():
            for part in space.slices:
                if part.parameter in parameters and part.first <= channel < part.first + part.length:
                    start = part.start + (channel - part.first) * part.repeat
                    parameters[part.parameter].detach().narrow(part.axis, start, part.repeat).zero_()


def runnable(liveness: Liveness) -> Liveness:
    """Keep one channel of every tensor that would be left without any."""
    carriers = [carrier for carrier in liveness.graph.carriers if carrier.bears]
    empty = [int(c.labels.flat[0]) for c in carriers if not liveness.kept[c.labels].any()]
    if not empty:
        return liveness
    keep = liveness.kept.copy()
    keep[empty] = True
    return runnable(liveness.keeping(keep))


def assert_exact(program: list[Gene], container: int, seed: int) -> int:
    """Fail unless the program without its dead channels gives what it gave; return how many channels went."""
    net, calls = random_program(program, container, seed)
    before = digest(net)
    graph = trace(net, calls)
    assert digest(net) == before
    silence(net, graph, seed)
    liveness = runnable(Liveness(graph, training=True))
    small = removed(net, liveness)
    for call in calls_at_sizes(calls):
        for training in (False, True):
            state = [buffer.clone() for buffer in net.buffers()]
            kept = [buffer.clone() for buffer in small.buffers()]
            one, other = outputs(net, call, training), outputs(small, call, training)
            for net_part, copies in ((net, state), (small, kept)):
                for buffer, copied in zip(net_part.buffers(), copies, strict=True):
                    buffer.copy_(copied)
            assert [path for path, _ in one] == [path for path, _ in other]
            assert one
            for (path, tensor), (_, found) in zip(one, other, strict=True):
                scale = 1 + float(tensor.abs().max())
                assert float((tensor - found).abs().max()) <= 1e-10 * scale, (path, training)
    return int((~liveness.kept).sum())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_between_two_layers(kind: str):
    program = [("conv", 1), (kind, 1), ("conv", 1), (kind, 4)]
    assert_exact(program, KINDS.index(kind), 3)


UNDERSTOOD = """add,in place,index add,view,assigned,copied,option,training only,drop path,loop,if odd,half,unpool,
functional norm,hooked,custom function,checkpoint,no grad,autocast,relu in place,shuffled axes,ordered"""


@pytest.mark.parametrize("kind", [kind.strip() for kind in UNDERSTOOD.split(",")])
def test_what_is_understood_is_removed(kind: str):
    assert assert_exact([("conv", 1), ("conv", 1), (kind, 1), ("conv", 1)], 0, 5) > 0


@given(genes, st.integers(0, len(CONTAINERS)), st.integers(0, 10))
@settings(max_examples=40, deadline=None)
def test_random_programs(program: list[Gene], container: int, seed: int):
    assert_exact(program, container, seed)
