"""Compares what ONNX Runtime computes by a package with probabilities that were served: ARCHIVE IMAGE SERVED HEIGHT WIDTH."""

import json
import sys
import zipfile

import numpy as np
import onnxruntime

archive, image_path, served_path, height, width = sys.argv[1:]
image = np.fromfile(image_path, np.uint8).reshape(1, int(height), int(width), 1).astype(np.float32)
session = onnxruntime.InferenceSession(zipfile.ZipFile(archive).read("weights.onnx"), providers=["CPUExecutionProvider"])
found = session.run(None, {"image": image})[0]
served = np.fromfile(served_path, np.float32).reshape(found.shape)
differing = int((found.view(np.uint32) != served.view(np.uint32)).sum())
print(json.dumps({"onnxruntime": onnxruntime.__version__, "values": found.size, "differing": differing}))
