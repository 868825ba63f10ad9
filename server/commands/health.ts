import { get } from 'node:http';
import { get as getOverTls } from 'node:https';
import { type Command, Option } from 'commander';
import { DEFAULTS, ENVIRONMENT } from '../config.js';
import { RequestError } from '../contract/errors.js';
import { integer, positive } from '../terminal/flag-values.js';
import type { CommandContext } from '../terminal/options.js';

interface HealthFlags {
  readonly host: string;
  readonly port: number;
  readonly timeout: number;
  readonly tlsCert?: string;
}

/** Maximum length of a probe's response that is read. */
const MAX_ANSWER_BYTES = 4096;

/**
 * `unseam health`: checks whether a server on this machine is ready, for the health checks of containers and services.
 */
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
    .addOption(
      new Option('--tls-cert <file>', 'that it speaks TLS with, if it does').env(ENVIRONMENT.tlsCert),
    )
    .option('--timeout <s>', 'how long the server may take to answer', positive, 4)
    .action(async ({ host, port, timeout, tlsCert }: HealthFlags) => {
      const timeOut = AbortSignal.timeout(timeout * 1000);
      const at = { host: reachable(host), port, hasTls: tlsCert !== undefined };
      const { status, text } = await probe(at, AbortSignal.any([signal, timeOut])).catch((error: Error) => {
        if (signal.aborted) throw signal.reason;
        const reason = timeOut.aborted ? `no answer within ${timeout} s` : error.message;
        throw new RequestError('not-ready', `no server on port ${port}: ${reason}`);
      });
      if (status !== 200) throw new RequestError('not-ready', text || `status ${status}`);
      stdout(text);
    });
}

/** The address of a server as its own machine reaches it: loopback, for one that listens on all addresses. */
const reachable = (host: string): string => (host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host);

interface At {
  readonly host: string;
  readonly port: number;
  readonly hasTls: boolean;
}

/** Skips the check of the certificate, which was issued for another name: the server is on this machine. */
function probe({ host, port, hasTls }: At, signal: AbortSignal): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const options = { host, port, path: '/readyz', agent: false, signal, rejectUnauthorized: false };
    const request = (hasTls ? getOverTls : get)(options, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text = (text + chunk).slice(0, MAX_ANSWER_BYTES)));
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode!, text: text.trim() }));
    });
    request.on('error', reject);
  });
}
