"""
Segments a slide by OpenVINO; sessions are streams of one compiled network. Without the variant `default`, which leaves
the precision to OpenVINO, it computes in 32 bits: by default it takes bfloat16 where the CPU multiplies that faster.
"""

import numpy as np

from slide import Session, labels_of, run


def start(options, slide, _net, report) -> list[Session]:
    import openvino

    core = openvino.Core()
    network = core.read_model(options.exported / "valid.onnx")
    network.reshape([1, 1, *slide.read_shape])
    settings = {"NUM_STREAMS": options.sessions, "INFERENCE_NUM_THREADS": options.threads}
    if options.variant != "default":
        settings["INFERENCE_PRECISION_HINT"] = "f32"
    compiled = core.compile_model(network, "CPU", settings)
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    report.facts |= {"precision": precision, "versions": {"openvino": openvino.__version__}}

    def session() -> Session:
        request = compiled.create_infer_request()

        def segment(pixels: np.ndarray) -> np.ndarray:
            image = np.divide(pixels, np.float32(255), dtype=np.float32)
            request.infer([image[None, None]], share_inputs=True, share_outputs=True)
            return labels_of(request.get_output_tensor(0).data[0])

        return segment

    return [session() for _ in range(options.sessions)]


if __name__ == "__main__":
    run(start)
