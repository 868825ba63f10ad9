"""
Segments a slide by the tiled prediction of bioimageio.core, from a package of bioimage.io whose weights are in ONNX.
Several sessions divide the slide into strips.
"""

import numpy as np
from bioimageio.core import create_prediction_pipeline
from bioimageio.core.digest_spec import create_sample_for_model
from bioimageio.core import __version__
from bioimageio.spec import load_model_description
from loguru import logger

from network import Unet
from slide import Report, aligned, arguments, divide, labels_of, read_image, segment_strips


def main() -> None:
    options = arguments()
    report = Report()
    report.facts |= {"precision": "f32", "versions": {"bioimageio.core": __version__}}
    logger.remove()
    net = Unet(options.model)
    package = load_model_description(options.exported / "bioimageio" / "rdf.yaml")
    larger = aligned(read_image(options.image), net)
    margin = net.padded_halo
    sides = [divide(length, options.tile, net.multiple)[1] + 2 * margin for length in larger[0].shape]
    block = {"image": dict(zip(("batch", "channel", "y", "x"), (1, 1, *sides)))}
    report.lap("start")

    def labels_in(rows: np.ndarray) -> np.ndarray:
        sample = create_sample_for_model(package, inputs={"image": rows[None, None]})
        with create_prediction_pipeline(package) as pipeline:
            output = pipeline.predict_sample_with_fixed_blocking(sample, block)
        return labels_of(output.members["logits"].data.values[0])

    segment_strips(options, report, net, larger, margin, labels_in)


if __name__ == "__main__":
    main()
