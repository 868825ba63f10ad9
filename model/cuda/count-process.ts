import { countGpus } from './gpu.js';

/** The process that counts NVIDIA's GPUs for `nvidiaIndices`. */
process.stdout.write(String(await countGpus()));
