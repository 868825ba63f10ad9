import type { Wheels } from './pip.js';

/**
 * What ONNX Runtime's CUDA provider is, and what it loads. `onnxruntime-gpu` is of the commit that the npm package is of:
 * `package.json` names both by one version. Of Python's files there is one for each Python; the libraries are the same.
 */
export const CUDA_WHEELS: Wheels = {
  requirements: [
    'onnxruntime-gpu==1.30.0',
    'nvidia-cuda-runtime==13.0.*',
    'nvidia-cublas==13.0.*',
    'nvidia-curand==10.4.0.35',
    'nvidia-cuda-nvrtc==13.0.*',
    'nvidia-cudnn-cu13==9.28.*',
  ],
  diskBytes: 3.7e9,
  tags: {
    python: '3.12',
    platforms: ['2_28', '2_27', '2_17', '2_12'].map((glibc) => `manylinux_${glibc}_x86_64`),
  },
};
