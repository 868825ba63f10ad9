import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { fileURLToPath } from 'node:url';

/** The environment variables that are read, here and nowhere else; a flag goes before its variable. */
export const ENVIRONMENT = {
  models: 'UNSEAM_MODELS',
  threads: 'UNSEAM_THREADS',
  scratch: 'UNSEAM_SCRATCH',
  data: 'UNSEAM_DATA',
  slides: 'UNSEAM_SLIDES',
  /** Names of this server, which requests are addressed to. */
  hostNames: 'UNSEAM_ALLOW_HOST',
  /** Hosts that images are read from. */
  imageHosts: 'UNSEAM_IMAGE_HOSTS',
  /** What `imageHosts` was called before. */
  oldImageHosts: 'UNSEAM_ALLOW_HOSTS',
  maxPixels: 'UNSEAM_MAX_PIXELS',
  maxUnpacked: 'UNSEAM_MAX_UNPACKED',
  memory: 'UNSEAM_MEMORY',
  host: 'UNSEAM_HOST',
  port: 'UNSEAM_PORT',
  drain: 'UNSEAM_DRAIN',
  maxBody: 'UNSEAM_MAX_BODY',
  minFree: 'UNSEAM_MIN_FREE',
  logLevel: 'UNSEAM_LOG_LEVEL',
  /** For developers: folders of compiled graphs, and of ONNX Runtime's profiles. */
  dumpGraphs: 'UNSEAM_DUMP_GRAPHS',
  profileGraphs: 'UNSEAM_PROFILE_GRAPHS',
} as const;

/**
 * Of processes that are started here. glibc raises the size from which it maps memory as large buffers come and
 * go, and then cuts them from heaps that fragment: a worker grows with the images that it has seen. With a fixed
 * size, its own first one, large buffers go back to the system. Other C libraries know no such variable.
 */
export const childEnvironment = (): NodeJS.ProcessEnv => ({
  MALLOC_MMAP_THRESHOLD_: String(128 << 10),
  ...process.env,
});

export const DEFAULTS = {
  /** The models that come with the package: `models/` beside `dist/`. */
  models: fileURLToPath(new URL('../../models', import.meta.url)),
  threads: availableParallelism(),
  scratch: tmpdir(),
  /** In the working directory. */
  data: 'unseam-data',
  slides: null,
  allowedHosts: [] as readonly string[],
  hostNames: null,
  /** A slide of 100,000 × 100,000 px, and half as much again. */
  maxPixels: 15_000_000_000,
  /** Interlaced PNG, progressive JPEG, WebP, GIF and AVIF have no rows to be streamed. */
  maxUnpackedBytes: 2 ** 30,
  /** A container's limit, where there is one; what it does not know of is what the machine has. */
  memoryBytes: Math.floor(
    0.75 * Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
  ),
  host: '127.0.0.1',
  port: 8080,
  maxBodyBytes: 8 * 2 ** 30,
  /** Some 20 seconds on two cores with the models that come with the package. */
  syncPixels: 50_000_000,
  keepMs: 24 * 3600_000,
  drainMs: 25_000,
  idleTimeoutMs: 60_000,
  /** A megabyte a minute: slower than any network that slides are sent over. */
  minRate: 16 * 1024,
  /** A gigabyte, or a twentieth of a smaller disk. */
  minFreeBytes: null,
  concurrency: 4,
  queueLimit: 64,
  logLevel: 'info',
} as const;
