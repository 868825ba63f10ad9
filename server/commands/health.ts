import { get } from 'node:http';
import { type Command, Option } from 'commander';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { RequestError } from '../contract/errors.js';
import { integer, positive } from '../terminal/flag-values.js';
import type { CommandContext } from '../terminal/options.js';

interface HealthFlags {
  readonly host: string;
  readonly port: number;
  readonly timeout: number;
}

/** A probe's answer: a few lines, of which no more is read than this. */
const MAX_ANSWER_BYTES = 4096;

/** `unseam health`: asks a server of this machine whether it is ready, for the health checks of containers and services. */
export function healthCommand(program: Command, { signal, stdout }: CommandContext): void {
  program
    .command('health')
    .description('ask a running server whether it is ready: exit code 0 if it is, and 1 if not')
    .addOption(
      new Option('--host <address>', 'address that the server listens on')
        .env(ENVIRONMENT.host)
        .default(DEFAULTS.host),
    )
    .addOption(
      new Option('--port <n>', 'port that it listens on')
        .env(ENVIRONMENT.port)
        .argParser(integer(1, 65535))
        .default(DEFAULTS.port),
    )
    .option('--timeout <s>', 'how long the server may take to answer', positive, 4)
    .action(async ({ host, port, timeout }: HealthFlags) => {
      const timeOut = AbortSignal.timeout(timeout * 1000);
      const { status, text } = await probe(reachable(host), port, AbortSignal.any([signal, timeOut])).catch(
        (error: Error) => {
          if (signal.aborted) throw signal.reason;
          const reason = timeOut.aborted ? `no answer within ${timeout} s` : error.message;
          throw new RequestError('not-ready', `no server on port ${port}: ${reason}`);
        },
      );
      if (status !== 200) throw new RequestError('not-ready', text || `status ${status}`);
      stdout(text);
    });
}

/** The address at which a server is reached from its own machine: one that listens on all of them is on loopback, too. */
const reachable = (host: string): string => (host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host);

function probe(host: string, port: number, signal: AbortSignal): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = get({ host, port, path: '/readyz', agent: false, signal }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text = (text + chunk).slice(0, MAX_ANSWER_BYTES)));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode!, text: text.trim() }));
    });
    request.on('error', reject);
  });
}
