import { DRIVER_LIBRARY, kernelDriver, noDriver, OLDEST_DRIVER } from './driver.js';

/** What an error of ONNX Runtime or CUDA means. */
interface Rule {
  readonly pattern: RegExp;
  readonly sentence: () => string;
}

const always = (sentence: string) => () => sentence;

const RULES: readonly Rule[] = [
  {
    pattern: new RegExp(`${DRIVER_LIBRARY.replaceAll('.', '\\.')}: cannot open shared object file`),
    sentence: () => noDriver(),
  },
  {
    pattern: /Failed to load (shared )?library/,
    sentence: always(
      'ONNX Runtime cannot load its CUDA provider; its line before this one names the library that is missing; run: unseam setup cuda',
    ),
  },
  {
    pattern: /CUDA failure 35\b|cudaErrorInsufficientDriver|driver version is insufficient/,
    sentence: () => {
      const version = kernelDriver();
      return `NVIDIA's driver${version === null ? '' : ` ${version}`} is too old for CUDA 13; update it to ${OLDEST_DRIVER} or later`;
    },
  },
  {
    pattern: /CUDA failure 100\b|cudaErrorNoDevice|no CUDA-capable device/,
    sentence: always(
      "NVIDIA's driver finds no GPU; check nvidia-smi, CUDA_VISIBLE_DEVICES and, in a container, --gpus all",
    ),
  },
  {
    pattern: /CUDA failure 101\b|cudaErrorInvalidDevice\b|invalid device ordinal/,
    sentence: always(
      'there is no GPU of this number; nvidia-smi -L lists them from 0, or CUDA_VISIBLE_DEVICES selects some of them',
    ),
  },
  {
    pattern: /CUDA failure 209\b|cudaErrorNoKernelImageForDevice|no kernel image is available/,
    sentence: always('this GPU is too old for CUDA 13, which needs compute capability 7.5 (Turing) or later'),
  },
  {
    pattern: /CUDA failure 803\b|cudaErrorSystemDriverMismatch/,
    sentence: always(
      "the parts of NVIDIA's driver are of different versions, as after an update; restart the machine",
    ),
  },
  {
    pattern: /CUDNN_STATUS_(NOT_INITIALIZED|SUBLIBRARY_LOADING_FAILED|SUBLIBRARY_VERSION_MISMATCH)/,
    sentence: always('cuDNN cannot load its libraries; remove LD_LIBRARY_PATH, and run: unseam setup cuda'),
  },
];

/**
 * What an error of ONNX Runtime or CUDA means for its reader: where it is known, a sentence that says what to do; else
 * what CUDA or cuDNN calls it, such as `CUDA failure 2: out of memory`, or the message of another error as it is.
 */
export function cudaFailure(message: string): string {
  const known = RULES.find(({ pattern }) => pattern.test(message));
  return known?.sentence() ?? /CUD(A|NN) failure [^;]*[^; ]/.exec(message)?.[0] ?? message;
}
