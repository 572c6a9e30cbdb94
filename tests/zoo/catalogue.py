"""The zoo: every architecture by its name, with its family, how it is made and what it is run on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo import convolutional as c
from tests.zoo import dense as d
from tests.zoo import generators as g
from tests.zoo import mobile as m
from tests.zoo import sequences as s
from tests.zoo import tasks as t
from tests.zoo import vision as v
from tests.zoo.pyramids import Pvt, SegFormer
from tests.zoo.swin import Swin
from winnow.engine.graph.calls import Call

Inputs = Callable[[int, int], tuple[Any, ...]]


def floats(*shape: int) -> Inputs:
    """Random numbers; −1 in a shape stands for the size."""
    return lambda batch, size: (torch.randn(batch, *(size if n == -1 else n for n in shape), dtype=torch.float64),)


def words(count: int = 1, kinds: int = 30, length: int = -1) -> Inputs:
    """Sequences of words."""
    return lambda batch, size: tuple(
        torch.randint(kinds, (batch, size if length == -1 else length)) for _ in range(count)
    )


def both(*parts: Inputs) -> Inputs:
    """Several inputs."""
    return lambda batch, size: tuple(value for part in parts for value in part(batch, size))


def adjacency(batch: int, size: int) -> tuple[Tensor]:
    """Which nodes are joined, as 0 and 1."""
    return ((torch.rand(batch, size, size, dtype=torch.float64) < 0.4).double(),)


def edge_list(batch: int, size: int) -> tuple[Tensor, Tensor]:
    """Nodes and pairs of them; the nodes are the batch."""
    return torch.randn(batch * size, 6, dtype=torch.float64), torch.randint(batch * size, (2, 3 * size))


IMAGE = floats(3, -1, -1)
BATCHES = ((1, 0), (3, 0), (5, 0))  # where the size is fixed
SIZES = ((1, 0), (3, 0), (2, 16), (1, 32))  # what is added to the size


@dataclass(frozen=True)
class Architecture:
    """One network: `inputs(batch, size)` makes what it is run on; `others` are (batch, what is added to the size)."""

    family: str
    make: Callable[[], nn.Module]
    inputs: Inputs = IMAGE
    size: int = 32
    others: tuple[tuple[int, int], ...] = SIZES
    options: tuple[dict[str, Any], ...] = field(default_factory=lambda: ({},))

    def example(self, batch: int = 2, more: int = 0, seed: int = 0) -> list[Call]:
        """Return the calls at one batch and size, one for each set of options."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            inputs = self.inputs(batch, self.size + more)
        return [Call(inputs, options) for options in self.options]


def _plain(family: str, **makers: Callable[[], nn.Module]) -> dict[str, Architecture]:
    return {name.replace("_", " "): Architecture(family, make) for name, make in makers.items()}


def _fixed(
    family: str, inputs: Inputs = IMAGE, size: int = 32, **makers: Callable[[], nn.Module]
) -> dict[str, Architecture]:
    return {name.replace("_", " "): Architecture(family, make, inputs, size, BATCHES) for name, make in makers.items()}


def _sized(
    family: str, inputs: Inputs, size: int, step: int, **makers: Callable[[], nn.Module]
) -> dict[str, Architecture]:
    others = ((1, 0), (3, 0), (2, step), (1, 2 * step))
    return {name.replace("_", " "): Architecture(family, make, inputs, size, others) for name, make in makers.items()}


R = c.ResNet
BASIC, DEEP = (2, 2, 2, 2), (3, 4, 6, 3)
ROW, SERIES = floats(12), floats(6, -1)
TIMED = both(IMAGE, lambda batch, size: (torch.rand(batch, dtype=torch.float64),))
BY_TASK = tuple({"task": task} for task in t.TASKS)

ZOO: dict[str, Architecture] = {
    **_plain(
        "plain convolutions",
        AlexNet=c.alexnet_without_lrn,
        VGG_11=partial(c.vgg, c.VGG11, False),
        VGG_16_BN=partial(c.vgg, c.VGG16, True),
        SqueezeNet=c.squeezenet,
        GoogLeNet=c.GoogLeNet,
        Inception_v3=c.inception_v3,
    ),
    "AlexNet, local response norm": Architecture("plain convolutions", c.alexnet),
    **_plain(
        "residual",
        ResNet_18=partial(R, BASIC),
        ResNet_34=partial(R, DEEP),
        ResNet_50=partial(R, DEEP, True),
        ResNet_101=partial(R, (3, 4, 23, 3), True),
        ResNet_152=partial(R, (3, 8, 36, 3), True),
        ResNet_50_D=partial(R, DEEP, True, deep=True),
        Wide_ResNet_50=partial(R, DEEP, True, wide=2),
        ResNeXt_50=partial(R, DEEP, True, groups=4),
        SE_ResNet_50=partial(R, DEEP, True, excite=True),
        Pre_activation_ResNet=c.PreActivation,
        CIFAR_ResNet=c.CifarResNet,
        DenseNet=c.DenseNet,
        Xception=c.xception,
        CSPDarknet=c.Darknet,
        RegNet_X=partial(c.regnet, False),
        RegNet_Y=partial(c.regnet, True),
        Res2Net=c.Res2Net,
        SKNet=c.SelectiveKernel,
        CBAM=lambda: m.attended(m.Cbam(8)),
        ECA_Net=lambda: m.attended(m.Eca()),
        RepVGG=m.repvgg,
    ),
    **_plain(
        "mobile",
        MobileNet_v1=m.mobilenet_v1,
        MobileNet_v2=m.mobilenet_v2,
        MobileNet_v3=m.mobilenet_v3,
        MnasNet=m.mnasnet,
        ShuffleNet_v1=m.shufflenet_v1,
        ShuffleNet_v2=m.ShuffleNetV2,
        GhostNet=m.ghostnet,
        EfficientNet=partial(m.efficientnet, 1),
        EfficientNet_v2=partial(m.efficientnet, 2),
    ),
    **_plain("modern convolutions", ConvNeXt=m.convnext, ConvNeXt_v2=partial(m.convnext, 2), ConvMixer=m.convmixer),
    **_fixed(
        "mixers",
        MLP_Mixer=lambda: m.Patches([m.MixerBlock(), m.MixerBlock()]),
        ResMLP=lambda: m.Patches([m.ResMlpBlock(), m.ResMlpBlock()], norm=False),
        gMLP=lambda: m.Patches([m.GatedMlp(), m.GatedMlp()]),
    ),
    **_plain("mixers", PoolFormer=m.poolformer),
    **_fixed(
        "vision transformers",
        ViT=v.ViT,
        ViT_unfused=partial(v.ViT, fused=False),
        DeiT=partial(v.ViT, extra=1, distilled=True),
        CaiT=v.CaiT,
        MaxViT=v.MaxViT,
    ),
    **_plain(
        "vision transformers",
        DINOv2=partial(v.Dino, extra=4, scale=True),
        Twins=v.Twins,
        PVT=Pvt,
        SegFormer=SegFormer,
        SegFormer_of_two_tasks=partial(SegFormer, (4, 1)),
        CvT=v.CvT,
        MobileViT=v.MobileViT,
        XCiT=v.XCiT,
    ),
    "Swin": Architecture("vision transformers", Swin, others=((1, 0), (3, 0), (1, 32))),
    "CLIP": Architecture("vision transformers", v.Clip, both(IMAGE, words(length=9)), 32, BATCHES),
    **_plain(
        "dense prediction",
        U_Net=d.UNet,
        Attention_U_Net=partial(d.UNet, True),
        **{"U-Net++": d.UNetPlus},
        FPN=d.Fpn,
        BiFPN=d.BiFpn,
        PSPNet=d.PspNet,
        **{"DeepLabV3+": d.DeepLab},
        HRNet=d.HrNet,
        LinkNet=d.LinkNet,
        BiSeNet=d.BiSeNet,
        SegNet=d.SegNet,
        ENet=d.ENet,
        Hourglass=d.Hourglass,
        DPT=d.Dpt,
        Fast_SCNN=d.FastScnn,
        EDSR=d.Edsr,
        SRCNN=d.srcnn,
    ),
    "DnCNN": Architecture("dense prediction", d.DnCnn, floats(1, -1, -1), 16),
    **_plain(
        "multi-task",
        Hard_sharing=t.HardSharing,
        MTAN=t.Mtan,
        Cross_stitch=t.CrossStitch,
        Cross_stitch_of_channels=partial(t.CrossStitch, True),
        NDDR_CNN=t.NddrCnn,
        PAD_Net=t.PadNet,
        MTI_Net=t.MtiNet,
    ),
    "Task by argument": Architecture("multi-task", t.TaskArgument, options=BY_TASK),
    **_fixed("multi-task", ROW, MMoE=t.Mmoe, CGC=partial(t.Ple, 1), PLE=t.Ple),
    **_fixed("tables", both(floats(6), words(kinds=20, length=3)), DLRM=t.Dlrm, **{"Wide & Deep": t.WideDeep}),
    **_fixed("tables", words(length=3), DeepFM=t.DeepFm),
    **_fixed("tables", ROW, DCN=t.CrossNet, ResNet_of_tables=t.TabResNet),
    **_fixed("tables", floats(6), FT_Transformer=t.FtTransformer),
    **_sized(
        "series and volumes", SERIES, 16, 5, TCN=s.Tcn, WaveNet=s.WaveNet, **{"ResNet 1-D": partial(s.resnet_nd, 1)}
    ),
    **_sized(
        "series and volumes",
        floats(3, -1, -1, -1),
        8,
        3,
        **{"ResNet 3-D": partial(s.resnet_nd, 3), "R(2+1)D": s.r2plus1d},
    ),
    **_sized("points and graphs", floats(3, -1), 16, 5, PointNet=s.PointNet),
    **_sized("points and graphs", both(floats(-1, 6), adjacency), 7, 3, GCN=s.Gcn, GAT=s.Gat),
    **_sized("points and graphs", edge_list, 5, 2, GraphSAGE=s.GraphSage),
    **_sized(
        "words",
        words(),
        7,
        4,
        LSTM_tagger=s.Tagger,
        GRU_tagger=partial(s.Tagger, nn.GRU),
        Deep_LSTM_tagger=partial(s.Tagger, nn.LSTM, 2),
        GRU_by_hand=s.CellByHand,
        TextCNN=s.TextCnn,
        BERT=s.Bert,
        **{"GPT-2": s.Gpt},
        Llama=s.Llama,
        Llama_with_one_key=partial(s.Llama, shared=1),
    ),
    **_sized("words", words(2), 7, 4, Transformer=s.Seq2Seq, T5=s.T5),
    **_sized("words", floats(-1, 6), 7, 4, Transformer_encoder=v.encoder),
    **_fixed(
        "generators",
        ROW,
        Autoencoder=s.Autoencoder,
        VAE=partial(s.Autoencoder, True),
        DCGAN=g.Dcgan,
        StyleGAN=g.StyleGan,
    ),
    **_fixed("generators", ROW, RealNVP=g.RealNvp),
    **_fixed("generators", IMAGE, VAE_of_images=s.ConvVae),
    **_plain("generators", CycleGAN=g.Resnet9, Pix2Pix=g.Pix2Pix),
    "Denoising diffusion": Architecture("generators", g.Denoiser, TIMED, 16),
    "DiT": Architecture("generators", g.DiT, TIMED, 16),
    **_sized("generators", floats(-1, 3), 9, 4, NeRF=g.NeuralField),
    "Siamese": Architecture("comparison", g.Siamese, both(IMAGE, IMAGE)),
    "Prototypical": Architecture("comparison", g.ProtoNet, both(IMAGE, floats(4, 3, -1, -1)), 16),
}
QUICK = (
    "ResNet 18", "DenseNet", "ShuffleNet v2", "ConvNeXt", "ViT", "Swin", "SegFormer", "U-Net++", "MTAN", "MMoE",
    "GCN", "BERT", "Denoising diffusion",
)  # fmt: skip


def build(name: str, seed: int = 0) -> nn.Module:
    """Return a net of the zoo in float64, with generic norms and tables, in evaluation mode."""
    torch.manual_seed(seed)
    net = ZOO[name].make().double()
    with torch.no_grad():
        for module in net.modules():
            for tensor_name, low in (("running_mean", -0.5), ("running_var", 0.5)):
                if isinstance(tensor := getattr(module, tensor_name, None), Tensor):
                    tensor.uniform_(low, low + 1)
        for parameter in net.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.rand_like(parameter) - 0.5)
    return net.eval()
