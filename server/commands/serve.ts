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
      'images segmented at a time; their tiles share batches',
      integer(1, 64),
      DEFAULTS.concurrency,
    )
    .option('--queue <n>', 'requests in the server at most', integer(1, 100_000), DEFAULTS.queueLimit)
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
        maxBodyBytes: flags.maxBody,
        idleTimeoutMs: flags.idleTimeout * 1000,
        queueLimit: flags.queue,
        log: pino({ level: flags.logLevel }),
      });
      if (!context.signal.aborted) await once(context.signal, 'abort');
      await server.close();
    });
}
