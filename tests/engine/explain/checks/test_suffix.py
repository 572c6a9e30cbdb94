"""What the wanted outputs do not depend on is not run; the wanted outputs stay what they are in any case."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from winnow.engine.explain.checks.suffix import running_only, suffix_of
from winnow.engine.explain.relevance.sites import named_sites

IMAGES = torch.rand(5, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Heads(nn.Module):
    """A trunk and two heads; what is done with the heads' outputs is `ending`."""

    def __init__(self, ending: Callable[["Heads", Tensor, Tensor], dict[str, Tensor]]) -> None:
        super().__init__()
        self.trunk, self.ending = nn.Conv2d(3, 4, 3, padding=1), ending
        self.one = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU())
        self.other = nn.Sequential(nn.Conv2d(4, 2, 1), nn.ReLU(inplace=True))
        self.runs = 0
        self.other.register_forward_pre_hook(self._count)
        self.other[0].register_forward_pre_hook(self._count)

    def _count(self, *_: object) -> None:
        self.runs += 1

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        features = self.trunk(x)
        return self.ending(self, self.one(features), self.other(features))


def apart(_: Heads, one: Tensor, other: Tensor) -> dict[str, Tensor]:
    return {"one": one, "other": other}


def mixed(_: Heads, one: Tensor, other: Tensor) -> dict[str, Tensor]:
    return {"one": one + 0.1 * other, "other": other}


def without_gradient(_: Heads, one: Tensor, other: Tensor) -> dict[str, Tensor]:
    return {"one": one + other.detach(), "other": other}


def written_into(_: Heads, one: Tensor, other: Tensor) -> dict[str, Tensor]:
    return {"one": one, "other": other.mul_(2)}


def of_its_size(_: Heads, one: Tensor, other: Tensor) -> dict[str, Tensor]:
    return {"one": one * other.shape[0], "other": other}


ENDINGS = (apart, mixed, without_gradient, written_into, of_its_size)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("size", [5, 6])
def test_running_only(ending: Callable[..., dict[str, Tensor]], size: int):
    """The wanted output has the same bits, for images of another size too; the head without part in it does not run."""
    torch.manual_seed(0)
    model = Heads(ending).eval()
    images = IMAGES[..., :size]
    wanted, names = model(images)["one"], set(vars(model.other))
    with running_only(model, IMAGES, ("one",)):
        model.runs = 0
        found = model(images)["one"]
        runs = model.runs
    assert torch.equal(found, wanted)
    assert set(vars(model.other)) == names
    left_out = ending in (apart, of_its_size) and size == 6
    assert runs == (1 if left_out else 2)  # the hook before the head itself is called all the same


def test_all_is_run_where_there_is_nothing_to_compare():
    """One image, inputs that are no tensor, and a wanted set of all outputs change nothing."""
    model = Heads(apart).eval()
    for images, wanted in ((IMAGES[:1], ("one",)), ((IMAGES,), ("one",)), (IMAGES, ("one", "other"))):
        with running_only(model, images, wanted):
            model.runs = 0
            model(IMAGES)
            assert model.runs == 2


class Chain(nn.Module):
    """Three layers; what is done with the first one's result before the second reads it is `between`."""

    def __init__(self, between: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.between = between
        self.one, self.two, self.three = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        read = self.one(x)
        self.between(read)
        result: Tensor = self.three(self.two(read)) + read
        return result


def into_data(read: Tensor) -> None:
    read.data.mul_(2)


def out_of_place(read: Tensor) -> None:
    read.mul(2)


def assert_same_bits(net: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
    """Check that each pass gives the bits of the whole model, with the layer `three` changed and without."""
    (site,) = named_sites(net, ["three"], IMAGES)
    with torch.no_grad():
        whole = net(IMAGES)
        with site.changing(change):
            changed = net(IMAGES)
        with suffix_of(net, site) as suffix:
            assert torch.equal(suffix.record(IMAGES), whole)
            for _ in range(3):
                assert torch.equal(suffix.again(IMAGES), whole)
                with site.changing(change):
                    assert torch.equal(suffix.again(IMAGES), changed)
                assert torch.equal(suffix.again(IMAGES).mul_(0), 0 * whole)  # whoever is given a result may write
    assert not torch.equal(whole, changed)


@pytest.mark.parametrize("between", [torch.relu_, lambda read: read[:, 1:].mul_(2), into_data, out_of_place])
def test_suffix_of(between: Callable[[Tensor], object]):
    """Every pass gives the bits of the whole model, also where a reader writes into what an earlier layer gave."""
    torch.manual_seed(0)
    assert_same_bits(Chain(between).eval(), lambda x: x / 2)


class Writing(nn.Module):
    """A network in which a module writes into what it is given, or hands it on; `limit`: where a late reader writes."""

    limit = float("inf")

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.one, self.two, self.three = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.relu, self.same = nn.ReLU(inplace=True), nn.Flatten(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        early = self.one(x)
        read = early
        if self.way == "ignored":
            self.relu(early)
        elif self.way == "residual":
            read = self.relu(early)
        elif self.way == "alias":
            read = self.same(early)
            early.mul_(2)
        late = self.three(self.two(read))
        if late.abs().mean() > self.limit:
            early.mul_(2)
        result: Tensor = late + early
        return result


@pytest.mark.parametrize("way", ["ignored", "residual", "alias", "late"])
def test_a_call_that_writes_or_hands_on_is_run_again(way: str):
    torch.manual_seed(0)
    net = Writing(way).eval()
    if way == "late":
        with torch.no_grad():
            net.limit = 2 * float(net.three(net.two(net.one(IMAGES))).abs().mean())
    assert_same_bits(net, lambda x: 30 * x)
