"""Segments a slide by PyTorch, in channels_last; the variant `compiled` passes the network through torch.compile."""

import time

import numpy as np

from slide import Session, run


def start(options, slide, net, report) -> list[Session]:
    import torch

    from torch_unet import TorchUnet

    torch.set_num_threads(options.threads // options.sessions)
    # 32 bits throughout: no bfloat16 inside convolutions, whatever this build's default.
    torch.backends.fp32_precision = "ieee"
    network = TorchUnet(net).to(memory_format=torch.channels_last).eval()

    @torch.inference_mode()
    def segment(pixels: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(pixels)[None, None].to(torch.float32, memory_format=torch.channels_last)
        logits = network(image.div_(255))
        # The first of equals; argmax is 15 times slower along this axis.
        labels = logits[:, 1] > logits[:, 0] if logits.shape[1] == 2 else logits.argmax(1)
        return labels[0].numpy()

    report.facts |= {"precision": "f32", "versions": {"torch": torch.__version__}}
    if options.variant == "compiled":
        import torch._inductor.config

        torch._inductor.config.freezing = True  # weights become constants, packed once
        network = torch.compile(network, dynamic=False)
        started = time.perf_counter()
        segment(np.zeros(slide.read_shape, np.uint8))
        report.seconds["compile"] = round(time.perf_counter() - started, 3)
    return [segment] * options.sessions


if __name__ == "__main__":
    run(start)
