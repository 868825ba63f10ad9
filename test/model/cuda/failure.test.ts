import { describe, expect, it } from 'vitest';
import { noDriver, oldDriver } from '../../../model/cuda/driver.js';
import { cudaFailure } from '../../../model/cuda/failure.js';

/** As ONNX Runtime 1.30 writes it. */
const cuda = (failure: string) =>
  `/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 onnxruntime::CudaCall(...) CUDA failure ${failure} ; ` +
  'GPU=-1 ; hostname=h ; file=cuda_execution_provider.cc ; line=352 ; expr=cudaSetDevice(info_.device_id); ';

describe('cudaFailure', () => {
  it.each([
    [
      cuda('35: CUDA driver version is insufficient for CUDA runtime version'),
      /too old for CUDA 13; update it to R580/,
    ],
    [cuda('100: no CUDA-capable device is detected'), /finds no GPU; check nvidia-smi/],
    [cuda('101: invalid device ordinal'), /no GPU of this number/],
    [cuda('209: no kernel image is available for execution on the device'), /compute capability 7\.5/],
    [cuda('803: system has unsupported display driver / cuda driver combination'), /restart the machine/],
    ['CUDNN failure 1002: CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED ; GPU=0', /remove LD_LIBRARY_PATH/],
    [
      'OrtSessionOptionsAppendExecutionProvider_Cuda: Failed to load shared library',
      /A library: run unseam setup cuda$/,
    ],
    [
      'Failed to load library /x/libonnxruntime_providers_cuda.so with error: /x/y.so: undefined symbol: cuTensorMapEncodeTiled',
      /too old for CUDA 13; update it to R580/,
    ],
    [
      'Failed to load library /x/libonnxruntime_providers_cuda.so with error: libcuda.so.1: cannot open shared object file',
      /NVIDIA('s)? driver.*libcuda\.so\.1 is not found/,
    ],
  ])('says what to do: %s', (message, sentence) => {
    expect(cudaFailure(message)).toMatch(sentence);
  });

  it.each([
    [cuda('2: out of memory'), 'CUDA failure 2: out of memory'],
    ['CUDNN failure 4000: CUDNN_STATUS_ALLOC_FAILED', 'CUDNN failure 4000: CUDNN_STATUS_ALLOC_FAILED'],
    ['Invalid rank for input', 'Invalid rank for input'],
  ])('leaves other errors as they are called: %s', (message, name) => {
    expect(cudaFailure(message)).toBe(name);
  });

  it('names the command with the cache folder in use', () => {
    const message = 'Failed to load shared library';
    expect(cudaFailure(message, '/cache/cuda')).toMatch(/run unseam setup cuda --cache-dir \/cache$/);
  });

  it('tells an old driver by its version', () => {
    expect(oldDriver('470.256.02')).toMatch(/driver 470\.256\.02 is too old/);
    expect(oldDriver('580.65.06')).toBeNull();
    expect(oldDriver(null)).toBeNull();
  });

  it('tells a machine without a driver from a container that is not given it', () => {
    expect(noDriver(null)).toMatch(
      /^this machine has no NVIDIA driver .*; install NVIDIA's driver R580 or later$/,
    );
    expect(noDriver('580.65.06')).toMatch(
      /driver 580\.65\.06 of this machine is not in this container .*--gpus all/,
    );
  });
});
