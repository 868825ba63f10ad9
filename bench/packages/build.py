"""
Builds packages of BioImage.IO in forms 0.4 and 0.5, with weights of ONNX, Keras and PyTorch, by bioimageio.spec; their test
outputs are computed by bioimageio.core, or by Keras.

    build.py FOLDER
"""

import hashlib
import io
import json
import os
import shutil
import sys
import zipfile
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import numpy as np
import torch

from unet import UNet

HERE = Path(__file__).parent
SIDE = 128

# How the image is normalised, in the terms of either form.
STEPS = {
    "linear": {
        "0.4": {"name": "scale_linear", "kwargs": {"axes": "xy", "gain": [1 / 255], "offset": [-0.5]}},
        "0.5": {"id": "scale_linear", "kwargs": {"gain": 1 / 255, "offset": -0.5}},
    },
    "mean": {
        "0.4": {"name": "zero_mean_unit_variance", "kwargs": {"mode": "per_sample", "axes": "xy"}},
        "0.5": {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}},
    },
    "percentiles": {
        "0.4": {"name": "scale_range", "kwargs": {"mode": "per_sample", "axes": "xy", "min_percentile": 1, "max_percentile": 99.8}},
        "0.5": {"id": "scale_range", "kwargs": {"axes": ["y", "x"], "min_percentile": 1, "max_percentile": 99.8}},
    },
}
ENDINGS = {
    "sigmoid": {"0.4": {"name": "sigmoid"}, "0.5": {"id": "sigmoid"}},
    "softmax": {"0.4": None, "0.5": {"id": "softmax", "kwargs": {"axis": "channel"}}},
}

# name: (form, weights, step, channels, outputs, ending)
PACKAGES = {
    "onnx-04": ("0.4", "onnx", "linear", 1, 1, "sigmoid"),
    "onnx-05": ("0.5", "onnx", "mean", 2, 3, "softmax"),
    "keras-04": ("0.4", "keras_hdf5", "mean", 1, 1, None),
    "keras-05": ("0.5", "keras_hdf5", "percentiles", 3, 1, None),
    "torch-04": ("0.4", "pytorch_state_dict", "percentiles", 1, 1, "sigmoid"),
    "torch-05": ("0.5", "pytorch_state_dict", "mean", 1, 3, "softmax"),
    "script-05": ("0.5", "torchscript", "linear", 1, 1, "sigmoid"),
}


def build(folder: Path, name: str) -> None:
    form, kind, step, channels, outputs, ending = PACKAGES[name]
    work = folder / name
    work.mkdir(parents=True)
    torch.manual_seed(1)
    rng = np.random.default_rng(2)
    image = rng.integers(0, 256, (1, channels, SIDE, SIDE)).astype(np.float32)
    is_keras = kind == "keras_hdf5"
    if is_keras:
        image = np.moveaxis(image, 1, -1)
        weights, run = keras_network(work, channels, outputs)
    else:
        weights, run = torch_network(work, kind, form, channels, outputs)
    axes = "byxc" if is_keras else "bcyx"
    output = run(normalised(image, step, axes))
    if ending == "sigmoid":
        output = 1 / (1 + np.exp(-output))
    if ending == "softmax":
        power = np.exp(output - output.max(1, keepdims=True))
        output = power / power.sum(1, keepdims=True)
    np.save(work / "input.npy", image)
    np.save(work / "output.npy", output.astype(np.float32))
    (work / "README.md").write_text("# Test\n\n## Validation\n\nNone.\n")
    description = describe(form, axes, step, channels, outputs, ending, kind, weights)
    (work / "rdf.yaml").write_text(json.dumps(description, indent=1))
    check(work / "rdf.yaml")
    with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(work.iterdir()):
            archive.write(path, path.name)


def normalised(image: np.ndarray, step: str, axes: str) -> np.ndarray:
    space = tuple(axes.index(axis) for axis in "yx")
    if step == "linear":
        return (image / 255 - 0.5).astype(np.float32)
    if step == "mean":
        mean, deviation = image.mean(space, keepdims=True), image.std(space, keepdims=True)
        return ((image - mean) / (deviation + 1e-6)).astype(np.float32)
    low, high = (np.percentile(image, percent, axis=space, keepdims=True) for percent in (1, 99.8))
    return ((image - low) / (high - low + 1e-6)).astype(np.float32)


def torch_network(work: Path, kind: str, form: str, channels: int, outputs: int):
    arguments = {"channels": channels, "outputs": outputs, "features": 8}
    network = UNet(**arguments)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    network.eval()
    example = torch.zeros(1, channels, SIDE, SIDE)
    version = torch.__version__.split("+")[0]
    if kind == "onnx":
        free = {0: "b", 2: "h", 3: "w"}
        torch.onnx.export(network, (example,), work / "weights.onnx", input_names=["x"], output_names=["y"],
                          dynamic_axes={"x": free, "y": free}, opset_version=17, dynamo=False)
        weights = {"source": "weights.onnx", "opset_version": 17}
    elif kind == "torchscript":
        torch.jit.trace(network, example).save(work / "weights.pt")
        weights = {"source": "weights.pt", "pytorch_version": version}
    else:
        torch.save(network.state_dict(), work / "weights.pt")
        shutil.copy(HERE / "unet.py", work / "unet.py")
        digest = sha256(work / "unet.py")
        if form == "0.4":
            weights = {"source": "weights.pt", "architecture": "unet.py:UNet", "architecture_sha256": digest,
                       "kwargs": arguments, "pytorch_version": version}
        else:
            architecture = {"source": "unet.py", "sha256": digest, "callable": "UNet", "kwargs": arguments}
            weights = {"source": "weights.pt", "architecture": architecture, "pytorch_version": version}
    return weights, lambda image: network(torch.from_numpy(image)).detach().numpy()


def keras_network(work: Path, channels: int, outputs: int):
    import keras
    from keras import layers

    keras.utils.set_random_seed(1)

    def block(x, filters):
        x = layers.Conv2D(filters, 3, padding="same")(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        return layers.Conv2D(filters, 3, padding="same", activation="relu")(x)

    image = layers.Input((None, None, channels))
    skip = block(image, 8)
    bottom = layers.Dropout(0.2)(block(layers.MaxPooling2D()(skip), 16))
    up = layers.Conv2DTranspose(8, 2, strides=2, padding="same")(bottom)
    end = block(layers.concatenate([up, skip]), 8)
    network = keras.Model(image, layers.Conv2D(outputs, 1, activation="sigmoid")(end))
    network.save(work / "weights.h5")
    import tensorflow

    return (
        {"source": "weights.h5", "tensorflow_version": tensorflow.__version__},
        lambda x: network.predict(x, verbose=0),
    )


def describe(form, axes, step, channels, outputs, ending, kind, weights) -> dict:
    weights = {kind: {**weights, "sha256": None}}
    common = {
        "format_version": "0.4.10" if form == "0.4" else "0.5.4", "type": "model", "name": f"{kind} {form}".replace(".", "_"),
        "description": "A random network.", "authors": [{"name": "nobody"}], "license": "CC0-1.0",
        "cite": [{"text": "none", "url": "https://example.com"}], "documentation": "README.md",
        "tags": ["test"], "weights": weights,
    }
    steps = {"in": [STEPS[step][form]], "out": [ENDINGS[ending][form]] if ending else []}
    for entry in weights.values():
        entry.pop("sha256")
    if form == "0.4":
        shape = lambda count: [1] + ([count] if axes[1] == "c" else []) + [SIDE, SIDE] + ([count] if axes[3] == "c" else [])
        return {
            **common, "timestamp": "2026-01-01T00:00:00", "covers": [], "attachments": {"files": []},
            "inputs": [{"name": "image", "axes": axes, "data_type": "float32", "data_range": [0, 255],
                        "shape": shape(channels), "preprocessing": steps["in"]}],
            "outputs": [{"name": "output", "axes": axes, "data_type": "float32", "shape": shape(outputs),
                         "postprocessing": steps["out"]}],
            "test_inputs": ["input.npy"], "test_outputs": ["output.npy"],
        }
    named = {"b": {"type": "batch"}}
    def tensor(count, names, other):
        space = lambda axis: {"type": "space", "id": axis, "size": {"tensor_id": "image", "axis_id": axis} if other else {"min": 32, "step": 2}}
        own = {**named, "c": {"type": "channel", "channel_names": names}, "y": space("y"), "x": space("x")}
        return [own[axis] for axis in axes]
    stains = ["dapi", "cd45", "ck"][:channels]
    return {
        **common,
        "inputs": [{"id": "image", "axes": tensor(channels, stains, False), "data": {"type": "float32"},
                    "test_tensor": {"source": "input.npy"}, "preprocessing": steps["in"]}],
        "outputs": [{"id": "output", "axes": tensor(outputs, ["rest", "nucleus", "cell"][-outputs:] if outputs < 3 else ["rest", "nucleus", "cell"], True),
                     "data": {"type": "float32"}, "test_tensor": {"source": "output.npy"}, "postprocessing": steps["out"]}],
    }


def check(path: Path) -> None:
    """bioimageio.core has to find the package valid; it cannot run the newest Keras's HDF5 everywhere."""
    from bioimageio.spec import InvalidDescr, load_description

    description = load_description(path, perform_io_checks=True)
    if isinstance(description, InvalidDescr):
        sys.exit(f"{path}: {description.validation_summary.format()}")


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    target = Path(sys.argv[1])
    for each in sys.argv[2:] or PACKAGES:
        build(target, each)
        print(each, flush=True)
