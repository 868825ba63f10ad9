import { once } from 'node:events';
import { type Command, Option } from 'commander';
import { pino } from 'pino';
import { bytes, DEFAULTS, ENVIRONMENT, integer, positive } from '../config.js';
import { startServer } from '../serve.js';
import { type CommandContext, type EngineFlags, engineOptions } from './shared.js';

interface ServeFlags extends EngineFlags {
  readonly host: string;
  readonly port: number;
  readonly maxBody: number;
  readonly data: string;
  readonly slides?: string;
  readonly allowHosts?: readonly string[];
  readonly syncPixels: number;
  readonly keep: number;
  readonly idleTimeout: number;
  readonly concurrency: number;
  readonly queue: number;
  readonly logLevel: string;
}

export function serveCommand(program: Command, context: CommandContext): void {
  engineOptions(program.command('serve'))
    .description('serve masks over HTTP')
    .addOption(
      new Option('--host <address>', 'address to listen on').env(ENVIRONMENT.host).default(DEFAULTS.host),
    )
    .addOption(
      new Option('--port <n>', 'port; 0 takes a free one')
        .env(ENVIRONMENT.port)
        .argParser(integer(0, 65535))
        .default(DEFAULTS.port),
    )
    .addOption(
      new Option('--data <folder>', 'where jobs and uploads are kept')
        .env(ENVIRONMENT.data)
        .default(DEFAULTS.data),
    )
    .addOption(
      new Option('--slides <folder>', 'images below it may be named by path as sources of jobs').env(
        ENVIRONMENT.slides,
      ),
    )
    .addOption(
      new Option('--allow-hosts <list>', 'hosts from which TIFFs are read by URL, such as images.lab:8000')
        .env(ENVIRONMENT.allowHosts)
        .argParser((text) => text.split(',').filter(Boolean)),
    )
    .option(
      '--sync-pixels <n>',
      'larger images are answered with a job',
      integer(0, Number.MAX_SAFE_INTEGER),
      DEFAULTS.syncPixels,
    )
    .option('--keep <hours>', 'how long jobs that have ended are kept', positive, DEFAULTS.keepMs / 3600_000)
    .addOption(
      new Option('--max-body <bytes>', 'largest upload')
        .env(ENVIRONMENT.maxBody)
        .argParser(bytes)
        .default(DEFAULTS.maxBodyBytes, '8G'),
    )
    .option(
      '--idle-timeout <s>',
      'silence after which an upload is given up',
      positive,
      DEFAULTS.idleTimeoutMs / 1000,
    )
    .option(
      '--concurrency <n>',
      'images segmented at a time, if they fit into the memory; their tiles share batches',
      integer(1, 64),
      DEFAULTS.concurrency,
    )
    .option('--queue <n>', 'jobs that wait, run or upload at most', integer(1, 100_000), DEFAULTS.queueLimit)
    .addOption(
      new Option('--log-level <level>', 'what is logged')
        .env(ENVIRONMENT.logLevel)
        .choices(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'])
        .default(DEFAULTS.logLevel),
    )
    .action(async (flags: ServeFlags) => {
      const server = await startServer({
        ...flags,
        engine: { provider: 'cpu', threads: flags.threads },
        memoryBytes: flags.memory,
        slides: flags.slides ?? null,
        allowedHosts: flags.allowHosts ?? DEFAULTS.allowedHosts,
        keepMs: flags.keep * 3600_000,
        maxBodyBytes: flags.maxBody,
        idleTimeoutMs: flags.idleTimeout * 1000,
        queueLimit: flags.queue,
        log: pino({ level: flags.logLevel }),
      });
      if (!context.signal.aborted) await once(context.signal, 'abort');
      await server.close();
    });
}
