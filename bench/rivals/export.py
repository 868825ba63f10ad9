"""Writes a model folder's network as the files that the rivals load: ONNX, and a package of bioimage.io."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from network import Unet

OPSET = 21


def onnx_model(net: Unet, padded: bool) -> onnx.ModelProto:
    """Logits [1, classes, height, width] of pixels in [0, 1]; `padded` convolutions keep the size of their input."""
    nodes, constants = [], []

    def node(kind: str, inputs: list[str], **attributes: object) -> str:
        name = f"{kind}_{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    def convolve(layer: str, x: str, kind: str = "Conv", **attributes: object) -> str:
        kernel, bias = net.kernels[layer], net.biases[layer]
        parts = [constant(f"{layer}/kernel", kernel), constant(f"{layer}/bias", bias)]
        return node(kind, [x, *parts], kernel_shape=kernel.shape[2:], **attributes)

    def block(level: str, x: str) -> str:
        for part in "ab":
            x = node("Relu", [convolve(f"{level}_{part}", x, pads=[1 if padded else 0] * 4)])
        return x

    x, skips = "image", []
    for level in range(net.depth + 1):
        if level > 0:
            x = node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
        x = block(f"down_{level}", x)
        skips.append(x)
    for level in reversed(range(net.depth)):
        x = convolve(f"up_{level}", x, "ConvTranspose", strides=[2, 2])
        skip = skips[level]
        if not padded:
            crop = net.crop(level)
            bounds = {"starts": [crop, crop], "ends": [-crop, -crop], "axes": [2, 3]}
            named = [constant(f"crop_{level}/{name}", np.array(at, np.int64)) for name, at in bounds.items()]
            skip = node("Slice", [skip, *named])
        x = block(f"up_{level}", node("Concat", [skip, x], axis=1))
    logits = convolve("logits", x)
    classes = net.biases["logits"].size
    graph = helper.make_graph(
        nodes,
        "unet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, "height", "width"])],
        [helper.make_tensor_value_info(logits, TensorProto.FLOAT, [1, classes, "rows", "columns"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model


def bioimageio_package(net: Unet, folder: Path, padded: onnx.ModelProto) -> None:
    """
    A package of bioimage.io. It is described as its networks are: convolutions keep the size of a tile, and what zeros
    may have reached, the halo, is cut off.
    """
    folder.mkdir(exist_ok=True)
    onnx.save(padded, folder / "weights.onnx")
    smallest = 2 * net.padded_halo + net.multiple
    image = np.random.default_rng(1).integers(0, 256, (1, 1, smallest, smallest)).astype(np.float32)
    [logits] = ReferenceEvaluator(padded).run(None, {"image": image / 255})
    np.save(folder / "image.npy", image)
    np.save(folder / "logits.npy", logits)
    size = {"min": smallest, "step": net.multiple}

    def same(axis: str) -> dict[str, str]:
        return {"tensor_id": "image", "axis_id": axis}

    rdf = {
        "type": "model",
        "format_version": "0.5.4",
        "name": "network of the rivals",
        "description": "A U-Net that is measured.",
        "authors": [{"name": "none"}],
        "cite": [{"text": "none", "url": "https://example.org"}],
        "license": "MIT",
        "inputs": [
            {
                "id": "image",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": ["gray"]},
                    {"type": "space", "id": "y", "size": size},
                    {"type": "space", "id": "x", "size": size},
                ],
                "data": {"type": "float32"},
                "pad": {"mode": "reflect"},
                "preprocessing": [{"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": 0}}],
                "test_tensor": {"source": "image.npy"},
            }
        ],
        "outputs": [
            {
                "id": "logits",
                "axes": [
                    {"type": "batch"},
                    {"type": "channel", "channel_names": [f"class{i}" for i in range(net.biases["logits"].size)]},
                    {"type": "space", "id": "y", "size": same("y"), "halo": net.padded_halo},
                    {"type": "space", "id": "x", "size": same("x"), "halo": net.padded_halo},
                ],
                "test_tensor": {"source": "logits.npy"},
            }
        ],
        "weights": {"onnx": {"source": "weights.onnx", "opset_version": OPSET}},
    }
    (folder / "rdf.yaml").write_text(json.dumps(rdf, indent=2))  # JSON is YAML


def main(source: Path, target: Path) -> None:
    net = Unet(source)
    target.mkdir(parents=True, exist_ok=True)
    onnx.save(onnx_model(net, padded=False), target / "valid.onnx")
    bioimageio_package(net, target / "bioimageio", onnx_model(net, padded=True))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
