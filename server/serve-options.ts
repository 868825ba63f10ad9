import type { Logger } from 'pino';
import type { EngineRequest } from '../model/engine/open-engine.js';
import type { Audit } from './access/audit.js';
import type { OidcOptions } from './access/oidc.js';
import type { TlsFiles } from './http/tls.js';
import type { RecoveryTimes } from './jobs/recovery.js';
import type { ReadersOptions } from './readers/readers.js';
import type { TraceSettings } from './traces/settings.js';
import type { WorkerDiagnostics } from './worker/diagnostics.js';
import type { WorkerLimits } from './worker/limits.js';

/** Limits of one owner of jobs and uploads: null for none. */
export interface OwnerLimits {
  /** Jobs that are pending, running or being uploaded. At least 1. */
  readonly jobs: number | null;
  /** Pixels of the images of jobs that are pending or running. At least 1. */
  readonly pixels: number | null;
  /** Bytes of jobs and uploads in the data folder. At least 1. */
  readonly bytes: number | null;
  /** Requests per second. More than 0. */
  readonly rate: number | null;
  /** Requests at once, after a pause; null for four seconds of `rate`. At least 1. */
  readonly burst: number | null;
}

/** What a server is started with. Defaults are those of `DEFAULTS` in config.ts, and of `unseam serve`. */
export interface ServeOptions {
  /** The address to listen on. Default `127.0.0.1`; for example `0.0.0.0`, `::1`. */
  readonly host: string;
  /** The port to listen on, 0 to 65535; 0 picks a free one. Default 8080. */
  readonly port: number;
  /** The folder of models, `NAME/VERSION/`. Default: the models of the package. Must exist. */
  readonly models: string;
  /** The folder of jobs and uploads, created if missing; only one server may use it. Default `unseam-data`. */
  readonly data: string;
  /** Whether requests are served without a token although there are tokens, and on any host. Default false. */
  readonly isOpen: boolean;
  /** The OpenID provider whose tokens are accepted, too. Default null: none. */
  readonly oidc: OidcOptions | null;
  /** The files of a server that speaks TLS, and how often they are looked at in ms. Default null: it speaks HTTP. */
  readonly tls: (TlsFiles & { readonly checkMs?: number }) | null;
  /** Takes what changes the state of the server, for an audit log. Default null: nothing is written. */
  readonly audit: Audit | null;
  /**
   * Whether names of files, paths of slides and addresses of images appear in no log, list, error or name of a download.
   * Default false.
   */
  readonly privateNames: boolean;
  /** Requests may name images below this folder by path. Default null: none. For example `/mnt/slides`. */
  readonly slides: string | null;
  /** Hosts, with their ports if any, that images may be read from by URL. Default none. For example `images.lab:8000`. */
  readonly allowedHosts: readonly string[];
  /**
   * Host names that requests may address this server by, in addition to those of loopback: `unseam.lab`, `*.lab`,
   * or `*` for any. Default null: any where the server listens on a network, none but loopback's otherwise.
   */
  readonly hostNames: readonly string[] | null;
  /** The engine of the worker. Default: all cores. For example `{ provider: 'cpu', threads: 8 }`. */
  readonly engine: EngineRequest;
  /** Largest image, width times height in px. Default 15,000,000,000; at least 1. */
  readonly maxPixels: number;
  /** Memory for one image without random access, decoded as a whole, in bytes. Default 1 GiB. */
  readonly maxUnpackedBytes: number;
  /**
   * Limit of the resident memory of the server, its worker and its readers together, in bytes. Default: three quarters
   * of the machine's memory, or of its container's.
   */
  readonly memoryBytes: number;
  /**
   * Part of `memoryBytes` for the results of tiles that occur more than once. Default null: 64 MiB, or a 64th of
   * `memoryBytes`; 0 computes every tile.
   */
  readonly tileCacheBytes: number | null;
  /**
   * Part of `memoryBytes` for the results of `POST /v1/segment`, to answer its repetitions. Default null: 32 MiB, or a
   * 64th of `memoryBytes`; 0 for none.
   */
  readonly responseCacheBytes: number | null;
  /** Whether a request may have the results of an earlier one with the same image, model and options. Default true. */
  readonly reusesResults: boolean;
  /** Largest request body in bytes. Default 8 GiB. */
  readonly maxBodyBytes: number;
  /** `POST /v1/segment` responds to images of more px with a job. Default 50,000,000; 0: to all. */
  readonly syncPixels: number;
  /**
   * In ms: the interval over which bodies must reach `minRate`, and the time after which a client that reads nothing
   * of its result is disconnected. Default 60,000; more than 0.
   */
  readonly idleTimeoutMs: number;
  /** Minimum rate of a request body, in bytes per second. Default 16 KiB/s. */
  readonly minRate: number;
  /** Disk space that uploads leave free, in bytes. Default null: 1 GiB, or 5 % of a smaller disk. */
  readonly minFreeBytes: number | null;
  /** Jobs that run concurrently, if they fit into `memoryBytes`. Default 4; at least 1. */
  readonly concurrency: number;
  /** Jobs that are pending, running or being uploaded, at most. Default 64; at least 1. */
  readonly queueLimit: number;
  /**
   * Jobs of priority `normal` and `bulk` together that are pending or running, at most: the other places are for those
   * whose clients wait. Default null: seven eighths of `queueLimit`; at least 1.
   */
  readonly queueNormal: number | null;
  /** Jobs of priority `bulk` that are pending or running, at most. Default null: three quarters of `queueLimit`; at least 1. */
  readonly queueBulk: number | null;
  /** Limits of each token, and of all requests together where none are required. */
  readonly owners: OwnerLimits;
  /** Bytes of all jobs and uploads in the data folder. Default null: no limit but that of the disk. */
  readonly quotaBytes: number | null;
  /**
   * Once `quotaBytes` was reached, nothing more is accepted until less than this is in use. Default null: nine tenths of
   * `quotaBytes`, at most which it may be.
   */
  readonly quotaLowBytes: number | null;
  /** How long finished jobs, and abandoned uploads, are retained, in ms. Default 24 h. */
  readonly keepMs: number;
  /** Grace period of a shutdown in ms: requests in flight are aborted after it. Default 25,000; 0 aborts at once. */
  readonly drainMs: number;
  /** Retries and pauses of jobs that fail for a transient reason. Default `RECOVERY`. */
  readonly recovery?: RecoveryTimes;
  /** Time limit of an image's header, `headerMs`. Default 30,000. */
  readonly readers?: Pick<ReadersOptions, 'headerMs'>;
  /** Time limits of the worker process. Default `WORKER_LIMITS`. */
  readonly worker?: Partial<WorkerLimits>;
  /** Inspector and CPU profiles of the worker process. Default none. */
  readonly diagnostics?: WorkerDiagnostics;
  /** Where traces are sent, and which. Default none. */
  readonly traces?: TraceSettings | null;
  readonly log: Logger;
}
