"""A small U-Net, as packages with state dictionaries have their architecture: in a file of their own."""

import torch
from torch import nn


def block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self, channels: int = 1, outputs: int = 1, features: int = 8, ending: str = ""):
        super().__init__()
        self.down = block(channels, features)
        self.bottom = block(features, 2 * features)
        self.up = nn.ConvTranspose2d(2 * features, features, 2, stride=2)
        self.top = block(2 * features, features)
        self.end = nn.Conv2d(features, outputs, 1)
        self.ending = {"sigmoid": nn.Sigmoid(), "softmax": nn.Softmax(dim=1)}.get(ending, nn.Identity())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skip = self.down(x)
        y = self.up(self.bottom(nn.functional.max_pool2d(skip, 2)))
        return self.ending(self.end(self.top(torch.cat([y, skip], 1))))
