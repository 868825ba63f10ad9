"""Segments an image with tritonclient, by tensors in JSON and in binary, and compares with raw values in files."""

import json
import sys

import numpy
import tritonclient.http as triton

url, token, model, pixels, width, height, labels, probabilities = sys.argv[1:]
width, height = int(width), int(height)
headers = {"Authorization": f"Bearer {token}"}
image = numpy.fromfile(pixels, numpy.uint8).reshape(1, height, width, 1)
expected = {
    "labels": numpy.fromfile(labels, numpy.uint8).reshape(1, height, width),
    "probabilities": numpy.fromfile(probabilities, "<f4").reshape(1, height, width, -1),
}
client = triton.InferenceServerClient(url.removeprefix("http://"))


def infer(is_binary, values=image, datatype="UINT8", **options):
    tensor = triton.InferInput("image", values.shape, datatype)
    tensor.set_data_from_numpy(values, binary_data=is_binary)
    outputs = [triton.InferRequestedOutput(name, binary_data=is_binary) for name in expected]
    return client.infer(model, [tensor], outputs=outputs, headers=headers, **options)


def differences(result):
    """Values of each output that differ in a bit."""
    found = {name: result.as_numpy(name) for name in expected}
    assert all(found[name].shape == value.shape for name, value in expected.items())
    # JSON's numbers become floats of 32 bits again, exactly.
    return {
        name: int((found[name].astype(value.dtype).view(numpy.uint8) != value.view(numpy.uint8)).sum())
        for name, value in expected.items()
    }


def message(call):
    try:
        call()
    except triton.InferenceServerException as error:
        return error.message()
    return None


metadata = client.get_model_metadata(model, headers=headers)
print(
    json.dumps(
        {
            "live": client.is_server_live(),
            "ready": client.is_server_ready(),
            "modelReady": client.is_model_ready(model, "1", headers=headers),
            "server": client.get_server_metadata(headers=headers)["name"],
            "inputs": metadata["inputs"],
            "models": [each["name"] for each in client.get_model_repository_index(headers=headers)],
            "differentInJson": differences(infer(False)),
            "differentInBinary": differences(infer(True, request_id="a")),
            "differentByVersion": differences(infer(True, model_version="1")),
            "errors": {
                "batch": message(lambda: infer(True, numpy.repeat(image, 2, 0))),
                "type": message(lambda: infer(True, image.astype(numpy.int64), "INT64")),
                "model": message(lambda: client.get_model_metadata("none", headers=headers)),
                "token": message(lambda: client.get_model_metadata(model)),
            },
        }
    )
)
