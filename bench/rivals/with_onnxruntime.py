"""Segments a slide by ONNX Runtime; each session has threads of its own."""

import numpy as np

from slide import Session, labels_of, run


def start(options, _slide, _net, report) -> list[Session]:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.threads // options.sessions
    report.facts |= {"precision": "f32", "versions": {"onnxruntime": onnxruntime.__version__}}

    def session() -> Session:
        path = options.exported / "valid.onnx"
        network = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])

        def segment(pixels: np.ndarray) -> np.ndarray:
            image = np.divide(pixels, np.float32(255), dtype=np.float32)
            [logits] = network.run(None, {"image": image[None, None]})
            return labels_of(logits[0])

        return segment

    return [session() for _ in range(options.sessions)]


if __name__ == "__main__":
    run(start)
