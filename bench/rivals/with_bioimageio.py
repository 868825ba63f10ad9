"""
Segments a slide by the tiled prediction of bioimageio.core, from a package of bioimage.io whose weights are in ONNX.
Several sessions divide the slide into strips.
"""

from concurrent.futures import ThreadPoolExecutor

from bioimageio.core import create_prediction_pipeline
from bioimageio.core.digest_spec import create_sample_for_model
from bioimageio.core import __version__
from bioimageio.spec import load_model_description
from loguru import logger

from network import Unet
from slide import Report, aligned, arguments, divide, labels_of, read_image, strips, write_mask


def main() -> None:
    options = arguments()
    report = Report()
    report.facts |= {"precision": "f32", "versions": {"bioimageio.core": __version__}}
    logger.remove()
    net = Unet(options.model)
    package = load_model_description(options.exported / "bioimageio" / "rdf.yaml")
    image, mask, result = aligned(read_image(options.image), net)
    margin = net.padded_halo
    sides = [divide(length, options.tile, net.multiple)[1] + 2 * margin for length in image.shape]
    block = {"image": dict(zip(("batch", "channel", "y", "x"), (1, 1, *sides)))}
    report.lap("start")

    def segment(strip: tuple[slice, slice]) -> None:
        read, write = strip
        sample = create_sample_for_model(package, inputs={"image": image[read][None, None]})
        with create_prediction_pipeline(package) as pipeline:
            output = pipeline.predict_sample_with_fixed_blocking(sample, block)
        labels = labels_of(output.members["logits"].data.values[0])
        mask[write] = labels[write.start - read.start : write.stop - read.start]

    with ThreadPoolExecutor(options.sessions) as pool:
        list(pool.map(segment, strips(image.shape[0], options.sessions, margin, net.multiple)))
    report.lap("segment")
    write_mask(options.mask, result, iter([result.shape[0]]))
    report.lap("write")
    report.print()


if __name__ == "__main__":
    main()
