#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch>=2.2", "onnx>=1.16", "numpy", "bioimageio.core>=0.9", "pydantic<2.12"]
# ///
"""
Makes a package with ONNX of a network of PyTorch, for `unseam import`.

SOURCE is a package of BioImage.IO (archive, folder or description) with a state dictionary or TorchScript, a TorchScript file,
or a state dictionary whose class is named by --architecture FILE.py:NAME. The result has the network as ONNX, with rows and
columns left open, and a test image with what PyTorch computes of it. With uv, its packages need no installation:

    uv run tools/from-pytorch.py unet.zip -o unet-onnx.zip
    unseam import unet-onnx.zip --name unet

Exit codes: 0, or 2 for wrong arguments, 3 for what was not confirmed, 5 for what is not supported, 6 for a damaged source.
"""

import argparse
import hashlib
import importlib.util
import io
import json
import sys
import zipfile
from pathlib import Path

OPSET = 17
DATE = (1980, 1, 1, 0, 0, 0)


class Refusal(Exception):
    """What is told to the user, with the exit code."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def main() -> None:
    options = arguments()
    try:
        if is_package(options.source):
            convert_package(options)
        else:
            convert_file(options)
    except Refusal as refusal:
        print(f"from-pytorch: {refusal}", file=sys.stderr)
        sys.exit(refusal.code)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="the archive to write, such as network.zip")
    parser.add_argument("--yes", action="store_true", help="run the code of the source without asking")
    parser.add_argument("--architecture", help="of a state dictionary: FILE.py:NAME of its class or function")
    parser.add_argument("--arguments", default="{}", help="of the architecture, as JSON, such as '{\"depth\": 4}'")
    parser.add_argument("--channels", type=int, default=1, help="of the test image of a file (default: 1)")
    parser.add_argument("--size", type=int, default=256, help="side of the test image of a file, in px (default: 256)")
    parser.add_argument("--postprocessing", choices=["softmax", "sigmoid"], help="what is left to be done to a file's output")
    return parser.parse_args()


def is_package(source: Path) -> bool:
    if not source.exists():
        raise Refusal(6, f"{source}: no such file or folder")
    if source.is_dir() or source.suffix in (".yaml", ".yml"):
        return True
    # files of PyTorch are archives, too
    return zipfile.is_zipfile(source) and any(
        name in ("rdf.yaml", "bioimageio.yaml", "model.yaml") for name in zipfile.ZipFile(source).namelist()
    )


def confirm(what: str, options: argparse.Namespace) -> None:
    """Networks of PyTorch are programs: whoever converts one runs it."""
    note = f"{what} is a program that runs on this machine, with your rights. Convert it only if you trust its source."
    if options.yes:
        print(note, file=sys.stderr)
        return
    if not sys.stdin.isatty():
        raise Refusal(3, f"{note} Confirm it by --yes.")
    print(f"{note} Run it? [y/N] ", end="", file=sys.stderr, flush=True)
    if input().strip().lower() not in ("y", "yes"):
        raise Refusal(3, "nothing was run")


def convert_package(options: argparse.Namespace) -> None:
    from bioimageio.spec import load_model_description

    source = options.source
    description = load_model_description(source, format_version="latest", perform_io_checks=True)
    weights = description.weights
    if weights.pytorch_state_dict is not None:
        confirm(f"the architecture in {source}", options)
        from bioimageio.core.backends.pytorch_backend import load_torch_model

        network = load_torch_model(weights.pytorch_state_dict, load_state=True, devices=["cpu"])
    elif weights.torchscript is not None:
        confirm(f"the TorchScript in {source}", options)
        network = load_script(read(weights.torchscript))
    else:
        present = [name for name, entry in weights if entry is not None]
        raise Refusal(5, f"{source} has no weights of PyTorch, but {', '.join(present) or 'none'}")
    if len(description.inputs) != 1:
        raise Refusal(5, f"{source} has {len(description.inputs)} inputs; networks of one image are converted")

    import numpy as np
    from bioimageio.core import create_prediction_pipeline
    from bioimageio.core.digest_spec import get_test_input_sample

    with create_prediction_pipeline(description, devices=["cpu"]) as pipeline:
        sample = get_test_input_sample(description)
        pipeline.apply_preprocessing(sample)
        image = np.ascontiguousarray(sample.members[description.inputs[0].id].data.data, dtype=np.float32)
    axes = [axis.id for axis in description.inputs[0].axes]
    onnx = export(network.eval(), image, axes)

    # the description as it is, with ONNX instead of the network of PyTorch
    content = description.model_dump(mode="json", exclude_unset=True)
    content["weights"] = {"onnx": {"source": "network.onnx", "sha256": sha256(onnx), "opset_version": OPSET}}
    for key in ("attachments", "covers", "icon"):
        content.pop(key, None)
    files = {"network.onnx": onnx}
    for kind, tensors in (("inputs", description.inputs), ("outputs", description.outputs)):
        for i, tensor in enumerate(tensors):
            if tensor.test_tensor is None:
                continue
            name = f"test_{kind[:-1]}_{i}.npy"
            files[name] = read(tensor.test_tensor)
            content[kind][i]["test_tensor"] = {"source": name, "sha256": sha256(files[name])}
            content[kind][i].pop("sample_tensor", None)
    if description.documentation is not None:
        files["README.md"] = read(description.documentation)
        content["documentation"] = {"source": "README.md", "sha256": sha256(files["README.md"])}
    write(options.out, content, files)


def read(descr) -> bytes:
    """The bytes of a file of a package, whose digest is checked."""
    from bioimageio.spec.utils import get_reader

    source = getattr(descr, "source", descr)
    return get_reader(source, sha256=getattr(descr, "sha256", None)).read()


def convert_file(options: argparse.Namespace) -> None:
    import numpy as np
    import torch

    source = options.source
    data = source.read_bytes()
    if options.architecture is None:
        confirm(f"the TorchScript in {source}", options)
        network = load_script(data)
    else:
        confirm(f"{options.architecture.split(':')[0]}", options)
        network = architecture(options)
        state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        network.load_state_dict(state.get("state_dict", state) if isinstance(state, dict) else state)
    shape = (1, options.channels, options.size, options.size)
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    network.eval()
    onnx = export(network, image, ["batch", "channel", "y", "x"])
    with torch.no_grad():
        output = network(torch.from_numpy(image)).numpy()
    if output.ndim != 4:
        raise Refusal(5, f"the network returns {output.ndim} dimensions, no image")
    space = lambda size: [{"type": "space", "id": "y", "size": size[0]}, {"type": "space", "id": "x", "size": size[1]}]
    names = lambda count: [f"channel{i}" for i in range(count)]
    files = {"network.onnx": onnx, "test_input_0.npy": npy(image), "test_output_0.npy": npy(finished(output, options))}
    after = [] if options.postprocessing is None else [{"id": options.postprocessing, "kwargs": {"axis": "channel"} if options.postprocessing == "softmax" else {}}]
    content = {
        "format_version": "0.5.3",
        "type": "model",
        "name": source.stem,
        "description": f"Converted from {source.name}.",
        "inputs": [
            {
                "id": "image",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": names(options.channels)}, *space(shape[2:])],
                "data": {"type": "float32", "range": [0, 1]},
                "test_tensor": {"source": "test_input_0.npy", "sha256": sha256(files["test_input_0.npy"])},
            }
        ],
        "outputs": [
            {
                "id": "output",
                "axes": [{"type": "batch"}, {"type": "channel", "channel_names": names(output.shape[1])}, *space(output.shape[2:])],
                "test_tensor": {"source": "test_output_0.npy", "sha256": sha256(files["test_output_0.npy"])},
                "postprocessing": after,
            }
        ],
        "weights": {"onnx": {"source": "network.onnx", "sha256": sha256(onnx), "opset_version": OPSET}},
    }
    write(options.out, content, files)


def load_script(data: bytes):
    import torch

    try:
        return torch.jit.load(io.BytesIO(data), map_location="cpu")
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise Refusal(6, f"it is no TorchScript: {reason}; name the class of a state dictionary by --architecture") from error


def architecture(options: argparse.Namespace):
    path, _, name = options.architecture.rpartition(":")
    if not path or not name:
        raise Refusal(2, "--architecture is FILE.py:NAME")
    spec = importlib.util.spec_from_file_location("architecture", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["architecture"] = module
    spec.loader.exec_module(module)
    return getattr(module, name)(**json.loads(options.arguments))


def finished(output, options: argparse.Namespace):
    import torch

    tensor = torch.from_numpy(output)
    if options.postprocessing == "softmax":
        tensor = torch.softmax(tensor, 1)
    if options.postprocessing == "sigmoid":
        tensor = torch.sigmoid(tensor)
    return tensor.numpy()


def export(network, image, axes) -> bytes:
    """The network as ONNX, with rows and columns left open: unseam computes tiles of many sizes."""
    import torch

    names = {"batch": "batch", "y": "height", "x": "width"}
    free = {i: names[axis] for i, axis in enumerate(axes) if axis in names}
    out_free = {i: f"out_{name}" for i, name in free.items()}
    result = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(
            network,
            (torch.from_numpy(image),),
            result,
            input_names=["image"],
            output_names=["output"],
            dynamic_axes={"image": free, "output": out_free},
            opset_version=OPSET,
            **({"dynamo": False} if "dynamo" in torch.onnx.export.__code__.co_varnames else {}),
        )
    return result.getvalue()


def npy(array) -> bytes:
    import numpy as np

    result = io.BytesIO()
    np.save(result, np.ascontiguousarray(array))
    return result.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write(out: Path, content: dict, files: dict) -> None:
    # JSON is YAML
    description = json.dumps(content, indent=2).encode()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in {"rdf.yaml": description, **files}.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), data)
    print(f"{out}: {', '.join(['rdf.yaml', *files])}")


if __name__ == "__main__":
    main()
