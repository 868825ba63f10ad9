import { DRIVER_LIBRARY, noDriver, oldDriver, tooOld } from './driver.js';
import { setUpCommand } from './libraries.js';

/** What an error of ONNX Runtime or CUDA means. */
interface Rule {
  readonly pattern: RegExp;
  /** @param setUp the command that lays CUDA down */
  readonly sentence: (setUp: string) => string;
}

const always = (sentence: string) => () => sentence;

const RULES: readonly Rule[] = [
  {
    pattern: new RegExp(`${DRIVER_LIBRARY.replaceAll('.', '\\.')}: cannot open shared object file`),
    sentence: () => noDriver(),
  },
  {
    // An old driver lacks functions that the provider is linked with.
    pattern:
      /CUDA failure 35\b|cudaErrorInsufficientDriver|driver version is insufficient|undefined symbol: cu[A-Z]/,
    sentence: () => tooOld(),
  },
  {
    pattern: /Failed to load (shared )?library/,
    sentence: (setUp) =>
      oldDriver() ??
      'ONNX Runtime cannot load its CUDA provider; its line before this one names what is missing. A symbol: update ' +
        `NVIDIA's driver. A library: run ${setUp}`,
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
    sentence: (setUp) => `cuDNN cannot load its libraries; remove LD_LIBRARY_PATH, and run: ${setUp}`,
  },
];

/**
 * What an error of ONNX Runtime or CUDA means for its reader: where it is known, a sentence that says what to do; else
 * what CUDA or cuDNN calls it, such as `CUDA failure 2: out of memory`, or the message of another error as it is.
 *
 * @param folder of the set-up, `cuda/` in the cache folder. Default: it is not known
 */
export function cudaFailure(message: string, folder?: string): string {
  const known = RULES.find(({ pattern }) => pattern.test(message));
  return (
    known?.sentence(setUpCommand(folder)) ?? /CUD(A|NN) failure [^;]*[^; ]/.exec(message)?.[0] ?? message
  );
}
