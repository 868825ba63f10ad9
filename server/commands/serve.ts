import { once } from 'node:events';
import { resolve } from 'node:path';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { pino } from 'pino';
import { DEFAULTS, ENVIRONMENT, openTelemetryEnvironment } from '../config.js';
import { codeOf, problemOf } from '../contract/problems.js';
import { nameOfHost } from '../http/guard.js';
import { bytes, integer, notNegative, positive, switched } from '../terminal/flag-values.js';
import {
  type BatchFlags,
  batchOption,
  type CacheFlags,
  type CommandContext,
  type EngineFlags,
  engineOptions,
  type ImageFlags,
  imageOptions,
  type MemoryFlags,
  memoryOption,
  tileCacheOf,
  tileCacheOption,
} from '../terminal/options.js';
import { engineOf } from '../terminal/requested-engine.js';
import { traceSettingsOf } from '../traces/settings.js';
import { type AccessFlags, accessOfFlags, accessOptions } from './access-options.js';
import { type LimitFlags, limitOptions, limitsOfFlags } from './limit-options.js';

interface ServeFlags
  extends EngineFlags,
    ImageFlags,
    MemoryFlags,
    BatchFlags,
    CacheFlags,
    LimitFlags,
    AccessFlags {
  readonly host: string;
  readonly port: number;
  readonly responseCache?: number;
  readonly data: string;
  readonly slides?: string;
  readonly allowHost?: readonly string[];
  readonly imageHosts?: readonly string[];
  readonly allowHosts?: readonly string[];
  readonly syncPixels: number;
  readonly keep: number;
  readonly drain: number;
  readonly idleTimeout: number;
  readonly minRate: number;
  readonly concurrency: number;
  readonly logLevel: string;
  readonly inspectWorker?: number;
  readonly cpuProfile?: string;
}

/** Beside Node's own default, 9229, which the server itself would take. */
const INSPECT_PORT = 9230;

/** Options for developers are hidden from the help: CONTRIBUTING.md has them. */
export function serveCommand(program: Command, context: CommandContext): void {
  accessOptions(limitOptions(imageOptions(engineOptions(program.command('serve')))))
    .addOption(memoryOption())
    .addOption(tileCacheOption())
    .addOption(
      new Option(
        '--response-cache <bytes>',
        'part of --memory for results of POST /v1/segment, to answer its repetitions; 0 for none (default: 32M, or a 64th of --memory)',
      )
        .env(ENVIRONMENT.responseCache)
        .argParser(bytes),
    )
    .addOption(
      new Option('--no-cache [0|1]', 'compute every tile of every request, whatever was computed before')
        .env(ENVIRONMENT.noCache)
        .preset('1')
        .argParser((text) => !switched(text)),
    )
    .description('serve segmentation over HTTP')
    .addOption(
      new Option('--host <address>', 'address to listen on').env(ENVIRONMENT.host).default(DEFAULTS.host),
    )
    .addOption(
      new Option('--port <n>', 'port to listen on; 0 picks a free one')
        .env(ENVIRONMENT.port)
        .argParser(integer(0, 65535))
        .default(DEFAULTS.port),
    )
    .addOption(batchOption())
    .addOption(
      new Option('--data <folder>', 'folder of jobs and uploads')
        .env(ENVIRONMENT.data)
        .default(DEFAULTS.data),
    )
    .addOption(
      new Option('--slides <folder>', 'requests may name images below this folder by path').env(
        ENVIRONMENT.slides,
      ),
    )
    .addOption(
      new Option(
        '--allow-host <names...>',
        'host names of this server, such as unseam.lab; *.lab for all subdomains, * for any ' +
          '(default: those of loopback if it listens there, else any)',
      )
        .env(ENVIRONMENT.hostNames)
        .argParser((text, names: readonly string[] = []) => [...names, ...text.split(',').map(hostName)]),
    )
    .addOption(
      new Option(
        '--image-hosts <list>',
        'other hosts, from which TIFFs and OME-Zarrs may be read by URL, such as images.lab:8000',
      )
        .env(ENVIRONMENT.imageHosts)
        .argParser(listed),
    )
    .addOption(
      new Option('--allow-hosts <list>', 'deprecated name of --image-hosts')
        .env(ENVIRONMENT.oldImageHosts)
        .argParser(listed)
        .hideHelp(),
    )
    .addOption(
      new Option('--sync-pixels <n>', 'POST /v1/segment responds to images of more pixels with a job')
        .env(ENVIRONMENT.syncPixels)
        .argParser(integer(0, Number.MAX_SAFE_INTEGER))
        .default(DEFAULTS.syncPixels),
    )
    .addOption(
      new Option('--keep <hours>', 'how long finished jobs and uploads are retained')
        .env(ENVIRONMENT.keep)
        .argParser(positive)
        .default(DEFAULTS.keepMs / 3600_000),
    )
    .addOption(
      new Option('--drain <s>', 'grace period of a shutdown: requests in flight are aborted after it')
        .env(ENVIRONMENT.drain)
        .argParser(notNegative)
        .default(DEFAULTS.drainMs / 1000),
    )
    .addOption(
      new Option(
        '--idle-timeout <s>',
        'clients that send a body too slowly, or read nothing of a result, for this long are disconnected',
      )
        .env(ENVIRONMENT.idleTimeout)
        .argParser(positive)
        .default(DEFAULTS.idleTimeoutMs / 1000),
    )
    .addOption(
      new Option(
        '--min-rate <bytes>',
        'minimum rate of request bodies per second, averaged over --idle-timeout',
      )
        .env(ENVIRONMENT.minRate)
        .argParser(bytes)
        .default(DEFAULTS.minRate, '16K'),
    )
    .addOption(
      new Option(
        '--concurrency <n>',
        'images segmented concurrently, if they fit into --memory; their tiles share batches',
      )
        .env(ENVIRONMENT.concurrency)
        .argParser(integer(1, 64))
        .default(DEFAULTS.concurrency),
    )
    .addOption(
      new Option('--log-level <level>', 'minimum level of logged messages')
        .env(ENVIRONMENT.logLevel)
        .choices(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .default(DEFAULTS.logLevel),
    )
    .addOption(
      new Option('--inspect-worker [port]', "open the worker's inspector; 0 takes a free port")
        .preset(INSPECT_PORT)
        .argParser(integer(0, 65535))
        .hideHelp(),
    )
    .addOption(
      new Option('--cpu-profile <folder>', "write the worker's CPU profiles to a folder when it exits")
        .argParser((path) => resolve(path))
        .hideHelp(),
    )
    .action(async (flags: ServeFlags) => {
      // Loaded here: other commands, and --help, need none of its libraries.
      const { startServer } = await import('../serve.js');
      const log = pino({ level: flags.logLevel });
      const server = await startServer({
        ...flags,
        engine: { ...engineOf(flags), ...(flags.batch !== undefined && { batch: flags.batch }) },
        memoryBytes: flags.memory,
        tileCacheBytes: tileCacheOf(flags),
        responseCacheBytes: flags.responseCache ?? DEFAULTS.responseCacheBytes,
        reusesResults: flags.cache,
        maxUnpackedBytes: flags.maxUnpacked,
        ...accessOfFlags(flags, log),
        slides: flags.slides ?? null,
        allowedHosts: flags.imageHosts ?? flags.allowHosts ?? DEFAULTS.allowedHosts,
        hostNames: flags.allowHost ?? DEFAULTS.hostNames,
        keepMs: flags.keep * 3600_000,
        drainMs: flags.drain * 1000,
        idleTimeoutMs: flags.idleTimeout * 1000,
        minRate: flags.minRate,
        ...limitsOfFlags(flags),
        diagnostics: {
          ...(flags.inspectWorker !== undefined && { inspectPort: flags.inspectWorker }),
          ...(flags.cpuProfile !== undefined && { cpuProfileDir: flags.cpuProfile }),
        },
        traces: traceSettingsOf(openTelemetryEnvironment()),
        log,
      });
      const stop = context.signal.aborted ? Promise.resolve() : once(context.signal, 'abort');
      try {
        await Promise.race([stop, server.failed]);
      } catch (error) {
        // Exit at once, with the worker: an orderly shutdown would write to a folder that another server owns.
        context.stderr(`unseam: ${(error as Error).message}`);
        process.exit(problemOf(codeOf(error)).exitCode);
      }
      await server.close();
    });
}

const listed = (text: string): string[] => text.split(',').filter(Boolean);

/** Parses a host name or a pattern of host names, for commander. */
function hostName(text: string): string {
  if (text === '*') return text;
  const name = nameOfHost(text.replace(/^\*\./, ''));
  if (name === null) throw new InvalidArgumentError('It must be a host name, such as unseam.lab or *.lab.');
  return text.startsWith('*.') ? `*.${name}` : name;
}
