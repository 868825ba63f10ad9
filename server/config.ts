import { availableParallelism, homedir, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The environment variables. Nothing else in the code reads the environment. A flag overrides its variable. */
export const ENVIRONMENT = {
  models: 'UNSEAM_MODELS',
  engine: 'UNSEAM_ENGINE',
  device: 'UNSEAM_DEVICE',
  precision: 'UNSEAM_PRECISION',
  threads: 'UNSEAM_THREADS',
  lanes: 'UNSEAM_LANES',
  batch: 'UNSEAM_BATCH',
  cacheDir: 'UNSEAM_CACHE_DIR',
  scratch: 'UNSEAM_SCRATCH',
  data: 'UNSEAM_DATA',
  slides: 'UNSEAM_SLIDES',
  open: 'UNSEAM_OPEN',
  oidcIssuer: 'UNSEAM_OIDC_ISSUER',
  oidcAudience: 'UNSEAM_OIDC_AUDIENCE',
  oidcJwks: 'UNSEAM_OIDC_JWKS',
  oidcScopes: 'UNSEAM_OIDC_SCOPES',
  tlsCert: 'UNSEAM_TLS_CERT',
  tlsKey: 'UNSEAM_TLS_KEY',
  audit: 'UNSEAM_AUDIT',
  privateNames: 'UNSEAM_PRIVATE_NAMES',
  /** Host names of this server. */
  hostNames: 'UNSEAM_ALLOW_HOST',
  /** Hosts that images are read from by URL. */
  imageHosts: 'UNSEAM_IMAGE_HOSTS',
  /** The deprecated name of `imageHosts`. */
  oldImageHosts: 'UNSEAM_ALLOW_HOSTS',
  maxPixels: 'UNSEAM_MAX_PIXELS',
  maxUnpacked: 'UNSEAM_MAX_UNPACKED',
  memory: 'UNSEAM_MEMORY',
  tileCache: 'UNSEAM_TILE_CACHE',
  responseCache: 'UNSEAM_RESPONSE_CACHE',
  noCache: 'UNSEAM_NO_CACHE',
  host: 'UNSEAM_HOST',
  port: 'UNSEAM_PORT',
  syncPixels: 'UNSEAM_SYNC_PIXELS',
  keep: 'UNSEAM_KEEP',
  drain: 'UNSEAM_DRAIN',
  idleTimeout: 'UNSEAM_IDLE_TIMEOUT',
  minRate: 'UNSEAM_MIN_RATE',
  concurrency: 'UNSEAM_CONCURRENCY',
  maxBody: 'UNSEAM_MAX_BODY',
  minFree: 'UNSEAM_MIN_FREE',
  queue: 'UNSEAM_QUEUE',
  queueNormal: 'UNSEAM_QUEUE_NORMAL',
  queueBulk: 'UNSEAM_QUEUE_BULK',
  tokenJobs: 'UNSEAM_TOKEN_JOBS',
  tokenPixels: 'UNSEAM_TOKEN_PIXELS',
  tokenBytes: 'UNSEAM_TOKEN_BYTES',
  tokenRate: 'UNSEAM_TOKEN_RATE',
  tokenBurst: 'UNSEAM_TOKEN_BURST',
  quota: 'UNSEAM_QUOTA',
  quotaLow: 'UNSEAM_QUOTA_LOW',
  logLevel: 'UNSEAM_LOG_LEVEL',
  /** For developers: folders of compiled graphs, and of ONNX Runtime's profiles. */
  dumpGraphs: 'UNSEAM_DUMP_GRAPHS',
  profileGraphs: 'UNSEAM_PROFILE_GRAPHS',
} as const;

/**
 * Environment variables that child processes inherit: the paths of programs, libraries, drivers and temporary files, and
 * the settings of what computes. Child processes open files that anyone may have made, so they get no other variables:
 * platforms pass secrets that way.
 */
const INHERITED = {
  names: new Set(
    (
      'PATH HOME USER LOGNAME TMPDIR TEMP TMP LANG LANGUAGE TZ LD_LIBRARY_PATH LD_PRELOAD DYLD_LIBRARY_PATH ' +
      'DYLD_FALLBACK_LIBRARY_PATH NODE_ENV NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_USE_ENV_PROXY NODE_V8_COVERAGE ' +
      'SSL_CERT_FILE SSL_CERT_DIR ' +
      'SYSTEMROOT WINDIR USERPROFILE APPDATA LOCALAPPDATA PATHEXT'
    ).split(' '),
  ),
  prefixes: /^(LC|XDG|CUDA|NVIDIA|VK|MESA|LIBGL|ORT|OMP|GOMP|KMP|MKL|OPENBLAS|TF|VIPS|MALLOC|UV)_/,
  /** For images by URL, where Node.js is told to use them: they may have a password. */
  proxies: new Set(['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY']),
} as const;

/**
 * The environment of child processes, with a fixed threshold for mapped memory. As large buffers are allocated and
 * freed, glibc raises the size from which it maps memory, and then allocates them on heaps that fragment: a worker would
 * grow with the images that it has processed. With a fixed threshold, large buffers are returned to the system; those of
 * most tiles are below it, and need no pages from the system each time. Other C libraries ignore the variable.
 */
export function childEnvironment(parent: NodeJS.ProcessEnv = process.env): NodeJS.ProcessEnv {
  const { NODE_USE_ENV_PROXY, NODE_OPTIONS = '' } = parent;
  const usesProxies = NODE_USE_ENV_PROXY === '1' || NODE_OPTIONS.includes('--use-env-proxy');
  const isInherited = (name: string) =>
    INHERITED.names.has(name) ||
    INHERITED.prefixes.test(name) ||
    (usesProxies && INHERITED.proxies.has(name));
  return {
    MALLOC_MMAP_THRESHOLD_: String(1 << 20),
    ...Object.fromEntries(Object.entries(parent).filter(([name]) => isInherited(name.toUpperCase()))),
  };
}

/** OpenTelemetry's variables, which `traceSettingsOf` reads: their names and meanings are those of all programs. */
export const openTelemetryEnvironment = (): NodeJS.ProcessEnv =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => name.startsWith('OTEL_')));

/**
 * The environment of pip: with the user's proxies and package index, but without settings that contradict a folder to
 * install into.
 *
 * @param temporary folder for its downloads; null where there are none
 */
export const pipEnvironment = (temporary: string | null): NodeJS.ProcessEnv => ({
  ...process.env,
  PIP_USER: '0',
  PIP_REQUIRE_VIRTUALENV: '0',
  PYTHONUNBUFFERED: '1',
  ...(temporary !== null && { TMPDIR: temporary }),
});

/**
 * A user's folder for what was measured of this machine, and for what is set up on it; null for a user who has none,
 * such as a number that a container runs as.
 * @param cache `XDG_CACHE_HOME`
 * @param home throws where there is none
 */
export function cacheDirOf(cache: string | undefined, home: () => string): string | null {
  try {
    return join(cache || join(home(), '.cache'), 'unseam');
  } catch {
    return null;
  }
}

/** Defaults of options. `serve-options.ts` documents each of a server's, with its unit and its minimum. */
export const DEFAULTS = {
  /** The models of the package: `models/` beside `dist/`. */
  models: fileURLToPath(new URL('../../models', import.meta.url)),
  threads: availableParallelism(),
  scratch: tmpdir(),
  /** What is set up; and, for commands, what was measured of this machine: a server has that in its data folder. */
  cacheDir: cacheDirOf(process.env.XDG_CACHE_HOME, homedir),
  /** Relative to the working directory. */
  data: 'unseam-data',
  isOpen: false,
  oidc: null,
  oidcScopes: 'scope',
  tls: null,
  audit: null,
  privateNames: false,
  slides: null,
  allowedHosts: [] as readonly string[],
  hostNames: null,
  /** One and a half times a slide of 100,000 × 100,000 px. */
  maxPixels: 15_000_000_000,
  /** For interlaced PNG, progressive JPEG, WebP, GIF and AVIF, which cannot be decoded row by row. */
  maxUnpackedBytes: 2 ** 30,
  /** Three quarters of the container's limit, or of the machine's memory without one. */
  memoryBytes: Math.floor(
    0.75 * Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY),
  ),
  /** 64 MiB, or a 64th of the memory: see `defaultTileCache`. */
  tileCacheBytes: null,
  /** 32 MiB, or a 64th of the memory. */
  responseCacheBytes: null,
  reusesResults: true,
  host: '127.0.0.1',
  port: 8080,
  maxBodyBytes: 8 * 2 ** 30,
  /** About 20 seconds on two cores with the models of the package. */
  syncPixels: 50_000_000,
  keepMs: 24 * 3600_000,
  drainMs: 25_000,
  idleTimeoutMs: 60_000,
  /** 1 MiB per minute: slower than any network that slides are sent over. */
  minRate: 16 * 1024,
  /** 1 GiB, or 5 % of a smaller disk: see `Transfers`. */
  minFreeBytes: null,
  concurrency: 4,
  queueLimit: 64,
  queueNormal: null,
  queueBulk: null,
  owners: { jobs: null, pixels: null, bytes: null, rate: null, burst: null },
  quotaBytes: null,
  quotaLowBytes: null,
  logLevel: 'info',
} as const;
