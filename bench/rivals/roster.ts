import { availableParallelism } from 'node:os';

/** How a rival can be run: all are measured on a part of the slide, and the fastest on the whole. */
export interface Configuration {
  /** Side in px of what a tile adds to the mask; of MONAI's windows, which overlap, their own. */
  readonly tile: number;
  /** Tiles that are computed at once; sessions share the threads evenly. */
  readonly sessions: number;
}

export interface Rival {
  /** A file of this folder, in Python; or of its compiled scripts, in JavaScript. */
  readonly script: string;
  readonly variant?: string;
  /** Packages of Python that it needs. */
  readonly packages: readonly string[];
  readonly configurations: readonly Configuration[];
}

export const THREADS = availableParallelism();

/** Packages that every script in Python needs: it reads and writes TIFFs, and its network was exported to ONNX. */
const SHARED = ['numpy', 'tifffile', 'imagecodecs', 'onnx'];

/** Every combination of tile sizes with one session of all threads, and with as many sessions as threads. */
function both(...tiles: readonly number[]): Configuration[] {
  return [1, THREADS].flatMap((sessions) => tiles.map((tile) => ({ tile, sessions })));
}

/** What the fastest Python has to offer: the sizes are those around which each was fastest on the machines at hand. */
export const RIVALS: Readonly<Record<string, Rival>> = {
  onnxruntime: {
    script: 'with_onnxruntime.py',
    packages: [...SHARED, 'onnxruntime'],
    configurations: both(336, 500, 750),
  },
  pytorch: { script: 'with_torch.py', packages: [...SHARED, 'torch'], configurations: both(336, 500, 750) },
  'pytorch compiled': {
    script: 'with_torch.py',
    variant: 'compiled',
    packages: [...SHARED, 'torch'],
    configurations: [{ tile: 500, sessions: 1 }], // of several, each thread would compile
  },
  openvino: {
    script: 'with_openvino.py',
    packages: [...SHARED, 'openvino'],
    configurations: both(336, 500, 750),
  },
  'openvino by default': {
    script: 'with_openvino.py',
    variant: 'default',
    packages: [...SHARED, 'openvino'],
    configurations: both(336, 500, 750),
  },
  monai: {
    script: 'with_monai.py',
    packages: [...SHARED, 'monai', 'torch'],
    configurations: both(384, 512, 768),
  },
  'bioimageio.core': {
    script: 'with_bioimageio.py',
    packages: [...SHARED, 'bioimageio.core', 'onnxruntime'],
    configurations: both(336, 500, 750),
  },
  'tfjs wasm': {
    script: 'tfjs-wasm.js',
    packages: [],
    // the backend has one thread
    configurations: [336, 500, 750].map((tile) => ({ tile, sessions: THREADS })),
  },
};
