"""
Segments a slide by MONAI's sliding window with its defaults: windows overlap by a quarter, their logits are averaged.
MONAI wants windows that keep their size, so the network pads its convolutions with zeros, as its own networks do; near
the border of a window this changes its logits. Several sessions divide the slide into strips that overlap likewise.
"""

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer
from monai import __version__

from network import Unet
from slide import Report, aligned, arguments, read_image, segment_strips
from torch_unet import TorchUnet

OVERLAP = 0.25


def main() -> None:
    options = arguments()
    report = Report()
    torch.set_num_threads(options.threads // options.sessions)
    torch.backends.fp32_precision = "ieee"
    report.facts |= {"precision": "f32", "versions": {"monai": __version__, "torch": torch.__version__}}
    net = Unet(options.model)
    network = TorchUnet(net, padded=True).to(memory_format=torch.channels_last).eval()
    infer = SlidingWindowInferer((options.tile, options.tile), sw_batch_size=1, overlap=OVERLAP)
    larger = aligned(read_image(options.image), net)
    margin = round(options.tile * OVERLAP / 2 / net.multiple) * net.multiple
    report.lap("start")

    @torch.inference_mode()
    def labels_in(rows: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(rows)[None, None].to(torch.float32).div_(255)
        logits = infer(pixels, lambda x: network(x.contiguous(memory_format=torch.channels_last)))
        labels = logits[0, 1] > logits[0, 0] if logits.shape[1] == 2 else logits[0].argmax(0)
        return labels.numpy()

    segment_strips(options, report, net, larger, margin, labels_in)


if __name__ == "__main__":
    main()
