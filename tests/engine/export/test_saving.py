"""A model as a folder: written whole, read only as it was written."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.engine.export.test_rebuilding import same
from tests.engine.graph.zoo import Program, conv
from tests.engine.pruning.test_compact import silenced
from winnow.engine.export import NotDescribable, NotRebuildable, architecture, export_program, load_model, save_model
from winnow.engine.export.agreement import same_everywhere
from winnow.engine.export.both_modes import refuse_fused
from winnow.engine.export.saving import ARCHITECTURE, TENSORS
from winnow.engine.graph.calls import calls
from winnow.engine.graph.modes import modules_called
from winnow.engine.pruning import compact


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.nn.Module, torch.Tensor]:
    net, x = silenced("ours basic", "input", 0.5)
    small = compact(net, x, gather="always").model
    folder = tmp_path_factory.mktemp("written") / "model"
    save_model(folder, small, x)
    return folder, small, x


@pytest.fixture
def saved(tmp_path: Path, written) -> tuple[Path, torch.nn.Module, torch.Tensor]:
    """A saved model in a folder that the test may damage, the model, and an input."""
    return shutil.copytree(written[0], tmp_path / "model"), *written[1:]


def test_there_and_back(saved):
    folder, small, x = saved
    assert sorted(path.name for path in folder.iterdir()) == [ARCHITECTURE, TENSORS]
    found = load_model(str(folder))
    assert same(small, found, x)
    assert load_model(folder).trunk.stem._modules["0"]._modules["0"].weight.device.type == "cpu"


def test_it_is_saved_over_and_again_from_what_was_loaded(saved):
    folder, _, x = saved
    first = {path.name: path.read_bytes() for path in folder.iterdir()}
    save_model(folder, load_model(folder), x)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == first


def test_what_is_loaded_is_made_of_layers_alone(saved):
    folder, *_ = saved
    homes = {type(module).__module__ for module in load_model(folder).modules()}
    assert {home for home in homes if not home.startswith("torch.nn.")} == {
        "winnow.engine.export.rebuilt",
        "winnow.engine.pruning.selecting",
    }


def flipped(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


DAMAGE = {
    "a bit of the tensors": lambda folder: flipped(folder / TENSORS, -5),
    "the end of the tensors": lambda folder: (folder / TENSORS).write_bytes((folder / TENSORS).read_bytes()[:-8]),
    "no tensors": lambda folder: (folder / TENSORS).unlink(),
    "no architecture": lambda folder: (folder / ARCHITECTURE).unlink(),
    "half an architecture": lambda folder: (folder / ARCHITECTURE).write_bytes(
        (folder / ARCHITECTURE).read_bytes()[:3000]
    ),
    "no JSON": lambda folder: (folder / ARCHITECTURE).write_bytes(b"\x80\x04\xff"),
    "deep JSON": lambda folder: (folder / ARCHITECTURE).write_text("[" * 100_000),
    "another version": lambda folder: (folder / ARCHITECTURE).write_text('{"format_version": 2, "architecture": {}}'),
    "a list": lambda folder: (folder / ARCHITECTURE).write_text("[]"),
    "a folder of that name": lambda folder: ((folder / TENSORS).unlink(), (folder / TENSORS).mkdir()),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_damaged_is_refused(name: str, saved):
    folder, *_ = saved
    DAMAGE[name](folder)
    with pytest.raises(NotRebuildable, match="`folder` must hold"):
        load_model(folder)


def test_tensors_that_agree_with_a_new_digest_must_still_fit(saved):
    folder, *_ = saved
    path = folder / ARCHITECTURE
    found = json.loads(path.read_text())
    del found["architecture"]["tensors"]["heads.depth.out.bias"]
    path.write_text(json.dumps(found))
    with pytest.raises(NotRebuildable, match=r"heads\.depth\.out\.bias"):
        load_model(folder)


def test_an_architecture_beyond_all_measure_is_not_read(saved):
    folder, *_ = saved
    with (folder / ARCHITECTURE).open("ab") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(NotRebuildable, match="got another"):
        load_model(folder)


def test_a_refusal_writes_nothing(tmp_path: Path):
    net = Program(lambda m, x: m.a(x).erfinv(), a=conv(3, 6)).eval()
    with pytest.raises(NotDescribable):
        save_model(tmp_path / "model", net, torch.randn(1, 3, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_a_norm_that_averages_all_batches_comes_back(tmp_path: Path):
    net = Program(lambda m, x: m.n(m.a(x)), a=conv(3, 4), n=torch.nn.BatchNorm2d(4, momentum=None))
    x = torch.randn(2, 3, 6, 6)
    net(x)
    save_model(tmp_path / "model", net, x)
    found = load_model(tmp_path / "model")
    for model in (net, found):
        assert model.training
        model(2 * x)
        model.eval()
    assert torch.equal(found(x), net(x))


def test_an_attention_with_narrower_keys_comes_back(tmp_path: Path):
    attention = torch.nn.MultiheadAttention(6, 2, kdim=5, vdim=4, batch_first=True)
    parts = {"k": torch.nn.Linear(6, 5), "v": torch.nn.Linear(6, 4), "m": attention}
    net = Program(lambda m, x: m.m(x, m.k(x), m.v(x), need_weights=False)[0], **parts).eval()
    x = torch.randn(2, 3, 6)
    for layer, width in (("k", 2), ("v", 1)):
        net.get_submodule(layer).weight.data[:width] = 0
        net.get_submodule(layer).bias.data[:width] = 0
    small = compact(net, x).model
    assert (small.m.kdim, small.m.vdim) == (3, 3)
    save_model(tmp_path / "model", small, x)
    torch.testing.assert_close(load_model(tmp_path / "model")(x), net(x))


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (lambda m, x: m.a(x).imag, "got `.imag` of a. Pass what it holds by itself"),
        (lambda m, x: torch.special.i0(m.a(x)), "got torch._C._special.special_i0 (call_function). Write it with"),
    ],
)
def test_what_is_not_known_is_named_with_the_way_out(program, words: str, tmp_path: Path):
    net = Program(program, a=torch.nn.Linear(3, 3, dtype=torch.complex64 if "imag" in words else None)).eval()
    with pytest.raises(NotDescribable, match=re.escape(words)):
        save_model(tmp_path / "model", net, torch.randn(2, 3, dtype=net.a.weight.dtype))


def test_there_is_no_pickle_in_the_folder(saved):
    folder, *_ = saved
    length = int.from_bytes((folder / TENSORS).read_bytes()[:8], "little")
    header = json.loads((folder / TENSORS).read_bytes()[8 : 8 + length])
    assert all(set(entry) == {"dtype", "shape", "data_offsets"} for entry in header.values())
    assert json.loads((folder / ARCHITECTURE).read_text())["architecture"]["format_version"] == 1


@pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad")  # torch's, of a pass without gradients
@pytest.mark.parametrize("reentrant", [False, True])
def test_what_is_checkpointed_trains_as_before(tmp_path: Path, reentrant: bool):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.c(torch.utils.checkpoint.checkpoint(self.b, self.a(x).relu(), use_reentrant=reentrant))

    net, x = Program(forward, a=conv(3, 4), b=conv(4, 4), c=conv(4, 2)).eval(), torch.randn(2, 3, 6, 6)
    save_model(tmp_path / "model", net, x)
    found = load_model(tmp_path / "model")
    for model in (net, found):
        model(x).square().sum().backward()
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(found.get_parameter(name).grad, parameter.grad)


class Encoder(nn.Module):
    """Words through torch's own encoder, under a mask that the example gives."""

    def __init__(self, nested: bool = False) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)
        self.words, self.last = nn.Embedding(11, 8), nn.Linear(8, 3)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested)

    def forward(self, words: Tensor, padding: Tensor) -> Tensor:
        return self.last(self.encoder(self.words(words), src_key_padding_mask=padding))


PADDED = (torch.arange(10).reshape(2, 5), torch.tensor([[False, False, False, True, True], [False] * 5]))


def test_an_encoder_under_a_mask_is_saved_and_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Encoder().eval()
    save_model(tmp_path / "net", net, PADDED)
    torch.testing.assert_close(load_model(tmp_path / "net")(*PADDED), net(*PADDED))
    with torch.no_grad():
        net.encoder.layers[0].linear2.weight[:, ::2] = 0
    small = compact(net, PADDED).model
    assert small.encoder.layers[0].linear1.out_features == 6
    export_program(small, PADDED, tmp_path / "net.pt2")


class InParts(Encoder):
    """Runs its attention layers module by module, as a rebuilt program does."""

    def forward(self, words: Tensor, padding: Tensor) -> Tensor:
        with modules_called():
            return super().forward(words, padding)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors is in prototype stage")
def test_a_kernel_that_leaves_out_what_is_padding_is_no_other_order() -> None:
    torch.manual_seed(0)
    net = Encoder(nested=True).eval()
    with pytest.raises(NotDescribable, match="nested_tensor"):
        architecture(net, PADDED)
    other = InParts(nested=True).eval()
    other.load_state_dict(net.state_dict())
    with pytest.raises(NotDescribable, match="outputs of its program"):  # what padding gives differs, not only its bits
        same_everywhere(net, other, calls(net, PADDED))
    net = Encoder().eval()
    net.load_state_dict(other.state_dict())
    same_everywhere(net, other, calls(net, PADDED))


class Fused(nn.Module):
    """Two branches that evaluation mode adds up into one weight, as RepVGG deploys them."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(4, 4), nn.Linear(4, 4)
        self.both: tuple[Tensor, Tensor] | None = None

    def train(self, mode: bool = True) -> "Fused":
        super().train(mode)
        summed = (self.one.weight + self.two.weight).detach(), (self.one.bias + self.two.bias).detach()
        self.both = None if mode else summed
        return self

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, *self.both) if self.both else self.one(x) + self.two(x)


def test_weights_that_a_mode_fuses_are_refused_by_name() -> None:
    net = nn.Sequential(nn.Linear(3, 4), Fused()).eval()
    with pytest.raises(NotDescribable, match=r"computes tensors from parameters at `1`, a Fused\. Fuse them for good"):
        architecture(net, torch.randn(2, 3))


class Still(nn.Sequential):
    """Holds its second part in evaluation mode."""

    def train(self, mode: bool = True) -> "Still":
        super().train(mode)
        self[1].train(False)
        return self


def test_it_is_the_module_that_fuses_which_is_named() -> None:
    with pytest.raises(NotDescribable, match=r"computes tensors from parameters at `1`, a Fused"):
        architecture(Still(nn.Linear(3, 4), Fused()).eval(), torch.randn(2, 3))


def test_zeros_that_a_mode_fuses_are_refused_by_name() -> None:
    net = nn.Sequential(nn.Linear(3, 4), Fused()).eval()
    for parameter in net.parameters():
        nn.init.zeros_(parameter)
    with pytest.raises(NotDescribable, match=r"computes tensors from parameters at `1`, a Fused"):
        architecture(net.eval(), torch.randn(2, 3))


def test_whole_numbers_as_a_parameter_are_no_fusing() -> None:
    class Whole(nn.Sequential):
        def train(self, mode: bool = True) -> "Whole":
            super().train(mode)
            return self

    net = Whole(nn.Linear(3, 4)).eval()
    net.steps = nn.Parameter(torch.ones(4, dtype=torch.long), requires_grad=False)
    refuse_fused(net)


def test_a_train_that_holds_norms_still_is_no_fusing() -> None:
    with pytest.raises(NotDescribable, match="outputs of its program"):
        architecture(Still(nn.Linear(3, 4), nn.BatchNorm1d(4)).eval(), torch.randn(2, 3))
