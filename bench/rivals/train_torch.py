"""Trains the network of the paper on one crop by PyTorch. For each line it reads, it prints the mean ms of some steps."""

import argparse
import sys
import time

import torch
from torch import Tensor, nn

DEPTH = 4
CLASSES = 2


def block(inputs: int, outputs: int) -> nn.Sequential:
    convolutions = (nn.Conv2d(inputs, outputs, 3), nn.Conv2d(outputs, outputs, 3))
    return nn.Sequential(*(layer for conv in convolutions for layer in (conv, nn.ReLU(inplace=True))))


class Unet(nn.Module):
    """Logits [batch, classes, height, width] of pixels in [0, 1], from `base` channels at the first level."""

    def __init__(self, base: int):
        super().__init__()
        channels = [base * 2**level for level in range(DEPTH + 1)]
        levels = list(reversed(range(DEPTH)))
        self.down = nn.ModuleList(block(i, o) for i, o in zip([1, *channels], channels))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(channels[n + 1], channels[n], 2, stride=2) for n in levels)
        self.up = nn.ModuleList(block(2 * channels[n], channels[n]) for n in levels)
        self.logits = nn.Conv2d(base, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips = []
        for level, down in enumerate(self.down):
            x = down(nn.functional.max_pool2d(x, 2) if level > 0 else x)
            skips.append(x)
        for grow, up, skip in zip(self.grow, self.up, reversed(skips[:-1])):
            x = grow(x)
            crop = (skip.shape[2] - x.shape[2]) // 2
            x = up(torch.cat([skip[:, :, crop:-crop, crop:-crop], x], 1))
        return self.logits(x)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--base", type=int, required=True, help="channels of the first level")
    parser.add_argument("--side", type=int, required=True, help="px of the crop")
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--steps", type=int, required=True, help="steps for each line")
    parser.add_argument("--layout", choices=["contiguous_format", "channels_last"], required=True)
    options = parser.parse_args()

    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    # 32 bits throughout: no bfloat16 inside convolutions, whatever this build's default.
    torch.backends.fp32_precision = "ieee"
    layout = getattr(torch, options.layout)
    net = Unet(options.base).to(memory_format=layout)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    pixels = torch.rand(1, 1, options.side, options.side).to(memory_format=layout)
    out = net(pixels).shape[2]
    labels = torch.randint(0, CLASSES, (1, out, out))
    weights = torch.rand(1, out, out)

    def step() -> float:
        optimizer.zero_grad()
        losses = nn.functional.cross_entropy(net(pixels), labels, reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    step()
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        for _ in range(options.steps):
            step()
        print((time.perf_counter() - started) * 1000 / options.steps, flush=True)


if __name__ == "__main__":
    main()
