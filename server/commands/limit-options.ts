import { type Command, Option } from 'commander';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import type { ServeOptions } from '../serve-options.js';
import { bytes, integer, positive } from '../terminal/flag-values.js';

/** Flags of `serve` for limits, of the server and of each token. */
export interface LimitFlags {
  readonly maxBody: number;
  readonly minFree?: number;
  readonly queue: number;
  readonly queueNormal?: number;
  readonly queueBulk?: number;
  readonly quota?: number;
  readonly quotaLow?: number;
  readonly tokenJobs?: number;
  readonly tokenPixels?: number;
  readonly tokenBytes?: number;
  readonly tokenRate?: number;
  readonly tokenBurst?: number;
}

const MAX_JOBS = 100_000;

/** Adds the options of limits; `server/limits.ts` says which of them have to agree. */
export const limitOptions = (command: Command): Command =>
  command
    .addOption(
      new Option('--max-body <bytes>', 'maximum size of an upload')
        .env(ENVIRONMENT.maxBody)
        .argParser(bytes)
        .default(DEFAULTS.maxBodyBytes, '8G'),
    )
    .addOption(
      new Option(
        '--min-free <bytes>',
        'disk space that uploads leave free (default: 1G, or 5 % of a smaller disk)',
      )
        .env(ENVIRONMENT.minFree)
        .argParser(bytes),
    )
    .addOption(
      new Option('--queue <n>', 'maximum number of jobs that are pending, running or being uploaded')
        .env(ENVIRONMENT.queue)
        .argParser(integer(1, MAX_JOBS))
        .default(DEFAULTS.queueLimit),
    )
    .addOption(
      new Option(
        '--queue-normal <n>',
        'maximum number of jobs of priority normal and bulk among them (default: 7/8 of --queue)',
      )
        .env(ENVIRONMENT.queueNormal)
        .argParser(integer(1, MAX_JOBS)),
    )
    .addOption(
      new Option(
        '--queue-bulk <n>',
        'maximum number of jobs of priority bulk among them (default: 3/4 of --queue)',
      )
        .env(ENVIRONMENT.queueBulk)
        .argParser(integer(1, MAX_JOBS)),
    )
    .addOption(
      new Option('--quota <bytes>', 'maximum size of all jobs and uploads (default: none but the disk)')
        .env(ENVIRONMENT.quota)
        .argParser(bytes),
    )
    .addOption(
      new Option(
        '--quota-low <bytes>',
        'once --quota was reached, nothing is accepted until less is in use (default: 9/10 of --quota)',
      )
        .env(ENVIRONMENT.quotaLow)
        .argParser(bytes),
    )
    .addOption(
      new Option(
        '--token-jobs <n>',
        'maximum number of jobs of one token that have not ended (default: none)',
      )
        .env(ENVIRONMENT.tokenJobs)
        .argParser(integer(1, MAX_JOBS)),
    )
    .addOption(
      new Option('--token-pixels <n>', 'maximum number of pixels of these jobs together (default: none)')
        .env(ENVIRONMENT.tokenPixels)
        .argParser(integer(1, Number.MAX_SAFE_INTEGER)),
    )
    .addOption(
      new Option(
        '--token-bytes <bytes>',
        'maximum size of the jobs and uploads of one token, until they are removed (default: none)',
      )
        .env(ENVIRONMENT.tokenBytes)
        .argParser(bytes),
    )
    .addOption(
      new Option('--token-rate <n>', 'maximum number of requests of one token per second (default: none)')
        .env(ENVIRONMENT.tokenRate)
        .argParser(positive),
    )
    .addOption(
      new Option(
        '--token-burst <n>',
        'maximum number of requests of one token at once (default: those of 4 s)',
      )
        .env(ENVIRONMENT.tokenBurst)
        .argParser(integer(1, 1_000_000)),
    );

/** The limits that flags set, as the server takes them. */
export const limitsOfFlags = (flags: LimitFlags) =>
  ({
    maxBodyBytes: flags.maxBody,
    minFreeBytes: flags.minFree ?? DEFAULTS.minFreeBytes,
    queueLimit: flags.queue,
    queueNormal: flags.queueNormal ?? DEFAULTS.queueNormal,
    queueBulk: flags.queueBulk ?? DEFAULTS.queueBulk,
    quotaBytes: flags.quota ?? DEFAULTS.quotaBytes,
    quotaLowBytes: flags.quotaLow ?? DEFAULTS.quotaLowBytes,
    owners: {
      jobs: flags.tokenJobs ?? null,
      pixels: flags.tokenPixels ?? null,
      bytes: flags.tokenBytes ?? null,
      rate: flags.tokenRate ?? null,
      burst: flags.tokenBurst ?? null,
    },
  }) satisfies Partial<ServeOptions>;
