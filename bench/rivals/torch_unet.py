"""The network as a module of PyTorch."""

import torch
from torch import Tensor, nn

from network import Unet


class TorchUnet(nn.Module):
    """Logits [batch, classes, height, width] of pixels in [0, 1]; `padded` convolutions keep their input's size."""

    def __init__(self, net: Unet, padded: bool = False):
        super().__init__()
        self.depth = net.depth
        self.layers = nn.ModuleDict()
        for name, kernel in net.kernels.items():
            height, width = kernel.shape[2:]
            if name in {f"up_{level}" for level in range(net.depth)}:
                layer = nn.ConvTranspose2d(kernel.shape[0], kernel.shape[1], (height, width), stride=2)
            else:
                padding = height // 2 if padded else 0
                layer = nn.Conv2d(kernel.shape[1], kernel.shape[0], (height, width), padding=padding)
            layer.weight = nn.Parameter(torch.from_numpy(kernel.copy()), requires_grad=False)
            layer.bias = nn.Parameter(torch.from_numpy(net.biases[name].copy()), requires_grad=False)
            self.layers[name] = layer

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level in range(self.depth + 1):
            if level > 0:
                x = nn.functional.max_pool2d(x, 2)
            x = self.block(f"down_{level}", x)
            skips.append(x)
        skips.pop()
        for level in reversed(range(self.depth)):
            x = self.layers[f"up_{level}"](x)
            skip = skips.pop()
            crop = (skip.shape[2] - x.shape[2]) // 2
            if crop > 0:
                skip = skip[:, :, crop:-crop, crop:-crop]
            x = self.block(f"up_{level}", torch.cat([skip, x], 1))
        return self.layers["logits"](x)

    def block(self, level: str, x: Tensor) -> Tensor:
        for part in "ab":
            x = self.layers[f"{level}_{part}"](x).relu_()
        return x
