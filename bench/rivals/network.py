"""The network of a model folder, read from its files without TensorFlow.js."""

import json
from pathlib import Path

import numpy as np


class Unet:
    """A U-Net of valid 3x3 convolutions, two a level, with 2x2 pooling and 2x2 up-convolutions of stride 2."""

    def __init__(self, folder: Path):
        card = json.loads((folder / "card.json").read_text())["architecture"]
        halos = set(card["halo"].values())
        if card["kind"] != "unet" or len(halos) != 1 or any(card["padded"].values()):
            raise ValueError(f"{folder}: the rivals run U-Nets of valid convolutions with equal halos")
        # Channels of each level, the largest map first.
        self.channels: list[int] = card["channels"]
        # Pixels that an output pixel needs on each side of itself.
        self.halo: int = halos.pop()
        # The origins of tiles must be congruent modulo this.
        self.multiple: int = card["multiple"]
        # A tile of `t` output px, `t` divisible by `multiple`, reads `t + 2 halo + excess` px, and yields `t + excess`.
        self.excess: int = (card["smallest"] - 2 * self.halo) % self.multiple
        # By layer: [out, in, height, width]; of up-convolutions [in, out, height, width].
        self.kernels: dict[str, np.ndarray] = {}
        self.biases: dict[str, np.ndarray] = {}
        [group] = json.loads((folder / "model.json").read_text())["weightsManifest"]
        values = np.frombuffer(b"".join((folder / path).read_bytes() for path in group["paths"]), "<f4")
        start = 0
        for weight in group["weights"]:
            layer, kind = weight["name"].split("/")
            array = values[start : start + int(np.prod(weight["shape"]))].reshape(weight["shape"])
            start += array.size
            # TensorFlow's are [height, width, in, out]; of up-convolutions [height, width, out, in].
            if kind == "kernel":
                self.kernels[layer] = np.ascontiguousarray(array.transpose(3, 2, 0, 1))
            else:
                self.biases[layer] = array

    @property
    def depth(self) -> int:
        return len(self.channels) - 1

    @property
    def padded_halo(self) -> int:
        """The halo of padded convolutions, whose tiles must be divisible by `multiple`."""
        return -(-self.halo // self.multiple) * self.multiple

    @property
    def phase(self) -> int:
        """
        Pixels before an image that make the pooling of padded convolutions fall on the same pixels as that of valid
        ones, which lose 2 (2^depth - 1) px on each side before the last pooling.
        """
        return (self.halo + 2) % self.multiple

    def crop(self, level: int) -> int:
        """Pixels to cut off a skip connection on each side, so that it fits the map that comes from below."""
        return 3 * 2 ** (self.depth - level + 1) - 8
