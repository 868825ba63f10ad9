#!/usr/bin/env python3
# /// script
# requires-python = ">=3.10"
# dependencies = ["torch>=2.5", "onnx>=1.16", "numpy", "bioimageio.core>=0.9", "pydantic<2.12"]
# ///
"""
Makes a package with ONNX of a network of PyTorch, for `unseam import`.

SOURCE is a package of BioImage.IO (archive, folder or description) with a state dictionary or TorchScript, a TorchScript file,
or a state dictionary whose class is named by --architecture FILE.py:NAME. The result has the network as ONNX, with rows and
columns left open, and a test image with what PyTorch computes of it. With uv, its packages need no installation:

    uv run tools/from-pytorch.py unet.zip -o unet-onnx.zip
    unseam import unet-onnx.zip --name unet

Exit codes: 0, or 2 for wrong arguments and modules that are missing, 3 for what was not confirmed, 5 for what is not
supported, 6 for a damaged source.
"""

import argparse
import hashlib
import importlib.util
import io
import json
import pickle
import re
import sys
import tempfile
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
    except ModuleNotFoundError as error:
        hint = f'run it by uv, or install what its first lines say: pip install "{error.name}"'
        print(f"from-pytorch: the Python module {error.name} is missing: {hint}", file=sys.stderr)
        sys.exit(2)


def reason_of(error: BaseException) -> str:
    """The first sentence of an error, with its kind, which a message may need to be understood."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0].split('. ')[0][:300]}"


# Options of a file, which a package says itself.
OF_FILES = {"architecture": None, "arguments": None, "channels": 1, "size": 256, "postprocessing": None}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="the archive to write, such as network.zip")
    parser.add_argument("--yes", action="store_true", help="run the code of the source without asking")
    parser.add_argument("--architecture", help="of a state dictionary: FILE.py:NAME of its class or function")
    parser.add_argument("--arguments", help="of the architecture, as JSON, such as '{\"depth\": 4}'")
    parser.add_argument("--channels", type=int, help="of the test image of a file (default: 1)")
    parser.add_argument("--size", type=int, help="side of the test image of a file, in px (default: 256)")
    parser.add_argument("--postprocessing", choices=["softmax", "sigmoid"], help="what is left to be done to a file's output")
    options = parser.parse_args()
    try:
        check(options)
    except Refusal as refusal:
        parser.error(str(refusal))
    for name, default in OF_FILES.items():
        if getattr(options, name) is None:
            setattr(options, name, default)
    return options


def check(options: argparse.Namespace) -> None:
    given = [f"--{name}" for name in OF_FILES if getattr(options, name) is not None]
    if given and options.source.exists() and is_package(options.source):
        raise Refusal(2, f"{given[0]} is for files: {options.source} is a package, which says that itself")
    if options.arguments is not None and options.architecture is None:
        raise Refusal(2, "--arguments is for a state dictionary: name its class by --architecture")
    for name in ("channels", "size"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise Refusal(2, f"--{name} {value}: expected a positive number")


def is_package(source: Path) -> bool:
    if not source.exists():
        raise Refusal(6, f"{source}: no such file or folder")
    if source.is_dir() or source.suffix in (".yaml", ".yml"):
        return True
    return zipfile.is_zipfile(source) and description_in(source) is not None  # files of PyTorch are archives, too


DESCRIPTIONS = ("bioimageio.yaml", "rdf.yaml", "model.yaml")


def description_in(archive: Path) -> str | None:
    """The description of a package, as `unseam import` finds it: by its name or its ending, also in an only folder."""
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if not name.endswith("/") and not name.startswith("__MACOSX/")]
    folder = ""
    while True:
        own = sorted(name[len(folder) :] for name in names if "/" not in name[len(folder) :])
        for known in DESCRIPTIONS:
            for name in sorted(own, key=lambda each: each != known):
                if name == known or name.endswith(f".{known}"):
                    return folder + name
        below = {name[len(folder) :].partition("/")[0] for name in names}
        if own or len(below) != 1:
            return None
        folder += f"{below.pop()}/"


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
    unpacked = None
    if source.is_file() and zipfile.is_zipfile(source):
        found = description_in(source)
        if "/" in found:  # an archive of a folder
            unpacked = tempfile.TemporaryDirectory()
            with zipfile.ZipFile(source) as archive:
                archive.extractall(unpacked.name)
            source = Path(unpacked.name) / found
    try:
        description = load_model_description(source, format_version="latest", perform_io_checks=True)
    except ModuleNotFoundError:
        raise
    except Exception as error:
        detail = " ".join(line.strip() for line in str(error).splitlines() if line.strip())[:500]
        raise Refusal(6, f"{options.source} cannot be read as a package: {type(error).__name__}: {detail}") from error
    source = options.source
    weights = description.weights
    if weights.pytorch_state_dict is not None:
        confirm(f"the architecture in {source}", options)
        from bioimageio.core.backends.pytorch_backend import load_torch_model

        try:
            network = load_torch_model(weights.pytorch_state_dict, load_state=True, devices=["cpu"])
        except Exception as error:
            raise Refusal(6, f"the network in {source} cannot be loaded: {reason_of(error)}") from error
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
        check_script(data, source)
        confirm(f"the TorchScript in {source}", options)
        network = load_script(data)
    else:
        confirm(f"{options.architecture.split(':')[0]}", options)
        network = architecture(options)
        if not isinstance(network, torch.nn.Module):
            raise Refusal(2, f"{options.architecture} makes a {type(network).__name__}, not a torch.nn.Module")
        load_state(network, data, source)
    shape = (1, options.channels, options.size, options.size)
    image = np.random.default_rng(0).random(shape, dtype=np.float32)
    network.eval()
    output = compute(network, image)
    onnx = export(network, image, ["batch", "channel", "y", "x"])
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


def compute(network, image):
    import torch

    shape = " × ".join(map(str, image.shape))
    try:
        with torch.no_grad():
            output = network(torch.from_numpy(image))
    except Exception as error:
        hint = "choose those of its images by --channels and --size"
        raise Refusal(5, f"the network fails for an image of {shape} values ({reason_of(error)}): {hint}") from error
    if isinstance(output, (list, tuple, dict)):
        raise Refusal(5, f"the network returns {len(output)} outputs: turn deep supervision off, so that it returns one image")
    if not isinstance(output, torch.Tensor) or output.ndim != 4:
        found = f"{output.ndim} dimensions" if isinstance(output, torch.Tensor) else type(output).__name__
        raise Refusal(5, f"the network returns {found}, not an image [batch, channel, y, x]")
    return output.numpy()


# Where programs put the weights of a network into their checkpoints: nnU-Net, PyTorch Lightning, others.
WEIGHTS = ("network_weights", "state_dict", "model_state_dict")


def read_state(data: bytes, source: Path) -> dict:
    """A state dictionary, or that of a checkpoint. Nothing of the file is run: it may have numbers beside tensors."""
    import numpy as np
    import torch

    scalar = np.float64(0).__reduce__()[0]
    kinds = [type(np.dtype(kind)) for kind in ("float32", "float64", "int32", "int64", "bool")]
    try:
        with torch.serialization.safe_globals([scalar, np.dtype, *kinds]):
            state = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL ([\w.]+)", str(error))
        if found is None:
            raise Refusal(6, f"{source} is not a state dictionary: PyTorch cannot read it") from error
        hint = 'save its weights alone in Python: torch.save(network.state_dict(), "weights.pt")'
        raise Refusal(5, f"{source} has objects of {found[1]} beside its weights: {hint}") from error
    except Exception as error:
        raise Refusal(6, f"{source} is not a state dictionary: {reason_of(error)}") from error
    if isinstance(state, dict):
        state = next((state[key] for key in WEIGHTS if isinstance(state.get(key), dict)), state)
    if not isinstance(state, dict) or not any(isinstance(value, torch.Tensor) for value in state.values()):
        raise Refusal(6, f"{source} has no weights: expected a state dictionary, or {', '.join(WEIGHTS)} in it")
    return state


def load_state(network, data: bytes, source: Path) -> None:
    state = read_state(data, source)
    try:
        network.load_state_dict(without_prefix(state, list(network.state_dict())))
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        detail = (lines[1] if len(lines) > 1 else lines[0])[:300]
        raise Refusal(6, f"{source} has the weights of another network than --architecture makes: {detail}") from error


def without_prefix(state: dict, names: list) -> dict:
    """The weights of a network that was part of another one, such as of a module of Lightning, or compiled."""
    if not names or names[0] in state:
        return state
    for prefix in [name.removesuffix(names[0]) for name in state if name.endswith(names[0])]:
        if all(prefix + name in state for name in names):
            return {name: state[prefix + name] for name in names}
    return state


NAME_CLASS = "name the class of the network by --architecture FILE.py:NAME"


def check_script(data: bytes, source: Path) -> None:
    """Refuses what is not TorchScript, and says what is needed for it. Nothing of the file is run."""
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                return
    try:
        read_state(data, source)
    except Refusal as refusal:
        if refusal.code == 5:
            raise Refusal(5, f"{refusal}, and {NAME_CLASS}") from refusal
        raise Refusal(6, f"{source} is neither TorchScript nor a state dictionary") from refusal
    raise Refusal(6, f"{source} has weights alone: {NAME_CLASS}")


def load_script(data: bytes):
    import torch

    try:
        return torch.jit.load(io.BytesIO(data), map_location="cpu")
    except RuntimeError as error:
        raise Refusal(6, f"the TorchScript cannot be loaded: {reason_of(error)}") from error


def architecture(options: argparse.Namespace):
    path, _, name = options.architecture.rpartition(":")
    if not path or not name:
        raise Refusal(2, f"--architecture {options.architecture}: expected FILE.py:NAME")
    if not path.endswith(".py") or not Path(path).is_file():
        raise Refusal(2, f"--architecture {options.architecture}: there is no file {path} of Python")
    try:
        arguments = json.loads(options.arguments or "{}")
    except json.JSONDecodeError as error:
        raise Refusal(2, f"--arguments is not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise Refusal(2, "--arguments is not an object of JSON, such as '{\"depth\": 4}'")
    spec = importlib.util.spec_from_file_location("architecture", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["architecture"] = module
    sys.path.insert(0, str(Path(path).resolve().parent))  # of what it imports
    try:
        spec.loader.exec_module(module)
        make = getattr(module, name, None)
        if make is None:
            raise Refusal(2, f"--architecture {options.architecture}: {path} has no {name}")
        return make(**arguments)
    except (Refusal, ModuleNotFoundError):
        raise
    except Exception as error:
        raise Refusal(2, f"--architecture {options.architecture} failed: {reason_of(error)}") from error


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
    try:
        with torch.no_grad():
            torch.onnx.export(
                network,
                (torch.from_numpy(image),),
                result,
                input_names=["image"],
                output_names=["output"],
                dynamic_axes={"image": free, "output": out_free},
                opset_version=OPSET,
                dynamo=False,
            )
    except ModuleNotFoundError:
        raise
    except Exception as error:
        raise Refusal(5, f"PyTorch cannot write the network as ONNX: {reason_of(error)}") from error
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
