"""Percentiles of raw images by NumPy, for bench -- statistics: a line of JSON for each line of JSON."""

import json
import sys

import numpy as np

for line in sys.stdin:
    image = json.loads(line)
    pixels = np.fromfile(image["path"], dtype=image["dtype"]).reshape(-1, image["channels"])
    percentiles = np.asarray(image["percentiles"], dtype=np.float64)
    each = np.percentile(pixels, percentiles, axis=0).T.tolist()
    everything = np.percentile(pixels, percentiles).tolist()
    moments = [[float(c.mean()), float(c.std())] for c in pixels.astype(np.float64).T]
    print(json.dumps({"each": each, "all": everything, "moments": moments}))
