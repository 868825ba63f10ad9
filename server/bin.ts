#!/usr/bin/env node
import { runCli } from './cli.js';
import { RequestError } from './contract/errors.js';

const stop = new AbortController();
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
for (const signal of SIGNALS) {
  process.once(signal, () => {
    // A second signal, of either kind, terminates the process at once.
    for (const other of SIGNALS) process.removeAllListeners(other);
    stop.abort(new RequestError('cancelled', `stopped by ${signal}`));
  });
}

const context = {
  signal: stop.signal,
  stdout: (line: string) => void process.stdout.write(`${line}\n`),
  stderr: (line: string) => void process.stderr.write(`${line}\n`),
};
await runCli(context, process.argv.slice(2));
