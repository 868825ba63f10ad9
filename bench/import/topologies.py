"""Writes the ONNX files that `npm run bench -- import` imports: networks of PyTorch with random weights.

  python3 -m venv bench/import/.venv && bench/import/.venv/bin/pip install -r bench/import/requirements.txt

Usage: topologies.py FOLDER [NAME...]. For each network FOLDER has NAME.onnx, and NAME.json with a test: the input, the
output that PyTorch computes for it, their shapes, and whether the network is exact.
"""

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

warnings.filterwarnings("ignore")


class Block(nn.Sequential):
    """Two convolutions, with batch normalisation or without."""

    def __init__(self, i, o, padding=1, norm=True, act=nn.ReLU, dilation=1):
        layers = []
        for a in (i, o):
            layers.append(nn.Conv2d(a, o, 3, padding=padding * dilation, dilation=dilation, bias=not norm))
            if norm:
                layers.append(nn.BatchNorm2d(o))
            layers.append(act())
        super().__init__(*layers)


class Strided(nn.Module):
    """A block whose second convolution halves the image, and a shortcut, as ResNets have."""

    def __init__(self, i, o, norm=nn.BatchNorm2d):
        super().__init__()
        self.a = nn.Conv2d(i, o, 3, stride=2, padding=1)
        self.b = nn.Conv2d(o, o, 3, padding=1)
        self.shortcut = nn.Conv2d(i, o, 1, stride=2)
        self.norm = norm(o)

    def forward(self, x):
        return F.relu(self.norm(self.b(F.relu(self.a(x)))) + self.shortcut(x))


class Gate(nn.Module):
    """An attention gate of 1×1 convolutions (Oktay and others, 2018)."""

    def __init__(self, c):
        super().__init__()
        self.g, self.x, self.psi = nn.Conv2d(c, c // 2, 1), nn.Conv2d(c, c // 2, 1), nn.Conv2d(c // 2, 1, 1)

    def forward(self, g, x):
        return x * torch.sigmoid(self.psi(F.relu(self.g(g) + self.x(x))))


class Unet(nn.Module):
    """Up-sampling, down-sampling and whatever else differs between U-Nets."""

    def __init__(self, channels=(16, 32, 64), inputs=1, classes=2, down="pool", up="k2s2", valid=False, norm=True,
                 gate=False, act=nn.ReLU, dilation=1, last=None, stem=False, block=Block):
        super().__init__()
        padding = 0 if valid else 1
        self.valid, self.down_kind, self.up_kind, self.last = valid, down, up, last
        self.stem = nn.Conv2d(inputs, channels[0], 7, stride=2, padding=3) if stem else None
        first = channels[0] if stem else inputs
        self.downs = nn.ModuleList()
        self.pools = nn.ModuleList()
        for n, c in enumerate(channels):
            if n == 0:
                i = first
            else:
                i = channels[n - 1]
                self.pools.append({
                    "pool": lambda: nn.MaxPool2d(2),
                    "pool3": lambda: nn.MaxPool2d(3, 2, 1),
                    "average": lambda: nn.AvgPool2d(2),
                    "stride": lambda: Strided(i, i),
                }[down]())
            self.downs.append(block(i, c, padding, norm, act, dilation))
        self.ups = nn.ModuleList()
        self.joins = nn.ModuleList()
        self.gates = nn.ModuleList()
        for c, below in reversed(list(zip(channels[:-1], channels[1:]))):
            self.ups.append({
                "k2s2": lambda: nn.ConvTranspose2d(below, c, 2, 2),
                "k3s2p1": lambda: nn.ConvTranspose2d(below, c, 3, 2, 1, output_padding=1),
                "k4s2p1": lambda: nn.ConvTranspose2d(below, c, 4, 2, 1),
                "nearest": lambda: nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(below, c, 3, padding=1)),
                "linear": lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(below, c, 1)),
                "cubic": lambda: nn.Sequential(nn.Upsample(scale_factor=2, mode="bicubic"), nn.Conv2d(below, c, 1)),
                "aligned": lambda: nn.Sequential(
                    nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.Conv2d(below, c, 1)),
                "shuffle": lambda: nn.Sequential(nn.Conv2d(below, 4 * c, 1), nn.PixelShuffle(2)),
                "sizes": lambda: nn.Conv2d(below, c, 1),
            }[up]())
            self.joins.append(Block(2 * c, c, padding, norm, act))
            self.gates.append(Gate(c) if gate else nn.Identity())
        self.head = nn.Conv2d(channels[0], classes, 1)

    def forward(self, x):
        if self.stem is not None:
            x = F.relu(self.stem(x))
        skips = []
        for n, down in enumerate(self.downs):
            if n > 0:
                x = self.pools[n - 1](x)
            x = down(x)
            skips.append(x)
        for up, join, gate, skip in zip(self.ups, self.joins, self.gates, reversed(skips[:-1])):
            if self.up_kind == "sizes":
                x = F.interpolate(x, size=skip.shape[2:], mode="bilinear", align_corners=False)
            x = up(x)
            if self.valid:
                crop = (skip.shape[2] - x.shape[2]) // 2
                skip = skip[:, :, crop:crop + x.shape[2], crop:crop + x.shape[3]]
            if isinstance(gate, Gate):
                skip = gate(x, skip)
            x = join(torch.cat([skip, x], 1))
        if self.stem is not None:
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
        y = self.head(x)
        return y if self.last is None else self.last(y)


class Grouped(nn.Sequential):
    """A depthwise and a pointwise convolution, as MobileNets have them."""

    def __init__(self, i, o, padding, norm, act, dilation):
        super().__init__(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), act(),
                         nn.Conv2d(o, o, 3, padding=1, groups=o), nn.BatchNorm2d(o), act(), nn.Conv2d(o, o, 1))


class InstanceNormed(nn.Sequential):
    def __init__(self, i, o, padding, norm, act, dilation):
        super().__init__(nn.Conv2d(i, o, 3, padding=1), nn.InstanceNorm2d(o), nn.LeakyReLU())


class GroupNormed(nn.Sequential):
    def __init__(self, i, o, padding, norm, act, dilation):
        super().__init__(nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(4, o), nn.ReLU())


class Squeezed(nn.Module):
    """Squeeze-and-excitation behind a convolution."""

    def __init__(self, i, o, padding, norm, act, dilation):
        super().__init__()
        self.conv = nn.Conv2d(i, o, 3, padding=1)
        self.squeeze = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(o, o // 4, 1), nn.ReLU(), nn.Conv2d(o // 4, o, 1))

    def forward(self, x):
        x = F.relu(self.conv(x))
        return x * torch.sigmoid(self.squeeze(x))


class LinearBy(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.a = nn.Conv2d(1, 32, 3, padding=1)
        self.b = nn.Conv2d(32, 32, 3, padding=1)
        self.head = nn.Conv2d(32, 2, 3, padding=1)
        self.factor = factor

    def forward(self, x):
        x = F.relu(self.a(x))
        y = F.max_pool2d(x, self.factor)
        y = F.interpolate(F.relu(self.b(y)), scale_factor=self.factor, mode="bilinear")
        return self.head(x + y)


def smp(kind, encoder, **options):
    import segmentation_models_pytorch as models

    return getattr(models, kind)(encoder, encoder_weights=None, in_channels=3, classes=2, **options)


def monai(kind, **options):
    from monai.networks import nets

    return getattr(nets, kind)(spatial_dims=2, **options)


# name: (network, input side, input channels, exact, options of the export)
TOPOLOGIES = {
    "same": (lambda: Unet(), 96, 1, True, {}),
    "valid": (lambda: Unet(valid=True, norm=False), 92, 1, True, {}),
    "plain-deep": (lambda: Unet(channels=(8, 16, 32, 64, 128), norm=False), 128, 1, True, {}),
    "average-pool": (lambda: Unet(down="average"), 96, 1, True, {}),
    "strided": (lambda: Unet(down="stride"), 96, 1, True, {}),
    "pool3": (lambda: Unet(down="pool3"), 96, 1, True, {}),
    "stem7": (lambda: Unet(inputs=3, stem=True, down="pool3", up="nearest"), 96, 3, True, {}),
    "linear": (lambda: Unet(up="linear"), 96, 1, True, {}),
    "cubic": (lambda: Unet(up="cubic"), 96, 1, True, {}),
    "nearest": (lambda: Unet(up="nearest"), 96, 1, True, {}),
    "k3s2p1": (lambda: Unet(up="k3s2p1"), 96, 1, True, {}),
    "k4s2p1": (lambda: Unet(up="k4s2p1"), 96, 1, True, {}),
    "pixel-shuffle": (lambda: Unet(up="shuffle"), 96, 1, True, {}),
    "gates": (lambda: Unet(gate=True), 96, 1, True, {}),
    "dilated": (lambda: Unet(dilation=2), 96, 1, True, {}),
    "silu": (lambda: Unet(act=nn.SiLU), 96, 1, True, {}),
    "leaky": (lambda: Unet(act=nn.LeakyReLU, classes=3), 96, 1, True, {}),
    "prelu": (lambda: Unet(act=nn.PReLU), 96, 1, True, {}),
    "hardswish": (lambda: Unet(act=nn.Hardswish), 96, 1, True, {}),
    "gelu": (lambda: Unet(act=nn.GELU), 96, 1, True, {}),
    "mobile": (lambda: Unet(block=Grouped), 96, 1, True, {}),
    "sigmoid": (lambda: Unet(classes=1, last=nn.Sigmoid()), 96, 1, True, {}),
    "softmax": (lambda: Unet(classes=4, last=nn.Softmax(1)), 96, 1, True, {}),
    "five-channels": (lambda: Unet(inputs=5), 96, 5, True, {}),
    "linear-by-4": (lambda: LinearBy(4), 96, 1, True, {}),
    "linear-by-8": (lambda: LinearBy(8), 96, 1, True, {}),
    "resize-to-skip": (lambda: Unet(up="sizes"), 96, 1, True, {}),
    "resize-to-skip-open": (lambda: Unet(up="sizes"), 96, 1, True, {"open": True}),
    "valid-open": (lambda: Unet(valid=True, norm=False), 92, 1, True, {"open": True}),
    "smp-unet-resnet18": (lambda: smp("Unet", "resnet18"), 64, 3, True, {}),
    "smp-unet-resnet34-open": (lambda: smp("Unet", "resnet34"), 64, 3, True, {"open": True}),
    "smp-unetplusplus-resnet18": (lambda: smp("UnetPlusPlus", "resnet18"), 64, 3, True, {}),
    "smp-linknet-resnet18": (lambda: smp("Linknet", "resnet18"), 64, 3, True, {}),
    "smp-fpn-resnet18": (lambda: smp("FPN", "resnet18"), 64, 3, False, {}),
    "smp-unet-mobilenet": (lambda: smp("Unet", "mobilenet_v2"), 64, 3, True, {}),
    "smp-unet-vgg11": (lambda: smp("Unet", "vgg11_bn"), 64, 3, True, {}),
    "smp-deeplab": (lambda: smp("DeepLabV3Plus", "resnet18"), 64, 3, False, {}),
    "smp-unet-efficientnet": (lambda: smp("Unet", "efficientnet-b0"), 64, 3, False, {}),
    "monai-unet": (lambda: monai("UNet", in_channels=1, out_channels=2, channels=(16, 32, 64), strides=(2, 2),
                                 num_res_units=2, norm="batch"), 96, 1, True, {}),
    "monai-basicunet": (lambda: monai("BasicUNet", in_channels=1, out_channels=2, features=(16, 16, 32, 64, 64, 16),
                                      norm="batch"), 96, 1, True, {}),
    "monai-attention": (lambda: monai("AttentionUnet", in_channels=1, out_channels=2, channels=(16, 32, 64),
                                      strides=(2, 2)), 96, 1, False, {}),
    "monai-instance": (lambda: monai("UNet", in_channels=1, out_channels=2, channels=(16, 32), strides=(2,)), 96, 1, False, {}),
    "instance-norm": (lambda: Unet(block=InstanceNormed), 96, 1, False, {}),
    "group-norm": (lambda: Unet(block=GroupNormed), 96, 1, False, {}),
    "squeeze": (lambda: Unet(block=Squeezed), 96, 1, False, {}),
    "aligned-corners": (lambda: Unet(up="aligned"), 96, 1, False, {}),
    "linear-by-3": (lambda: LinearBy(3), 96, 1, False, {}),
}


def randomise(network):
    """Statistics and offsets that differ between channels, so that nothing vanishes."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)


# A softmax of greater scores has hardly any values but 0 and 1.
SATURATED = 50


def calibrate(network, images):
    """Gives a network the statistics of images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()(images)
    network.eval()


def export(folder, name):
    build, side, channels, exact, options = TOPOLOGIES[name]
    torch.manual_seed(sum(map(ord, name)))
    network = build().eval()
    with torch.no_grad():
        randomise(network)
        image = torch.rand(1, channels, side, side)
        output = network(image)
        if output.abs().max() > SATURATED:
            calibrate(network, torch.rand(2, channels, 4 * side, 4 * side))
            output = network(image)
    axes = {"image": {0: "n", 2: "h", 3: "w"}, "scores": {0: "n", 2: "h", 3: "w"}} if options.get("open") else None
    torch.onnx.export(network, (image,), folder / f"{name}.onnx", input_names=["image"], output_names=["scores"],
                      dynamic_axes=axes, opset_version=options.get("opset", 17), dynamo=False)
    test = {"name": name, "exact": exact, "channels": channels, "input": list(image.shape), "output": list(output.shape)}
    (folder / f"{name}.json").write_text(json.dumps(test))
    image.numpy().astype("<f4").tofile(folder / f"{name}.input")
    output.detach().numpy().astype("<f4").tofile(folder / f"{name}.output")


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for each in sys.argv[2:] or TOPOLOGIES:
        export(target, each)
        print(each, flush=True)
