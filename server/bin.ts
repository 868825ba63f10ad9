#!/usr/bin/env node
import { CommanderError } from 'commander';
import { createCli } from './cli.js';
import { RequestError } from './contract/errors.js';
import { messageForUser, problemOf } from './contract/problems.js';

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

try {
  const args = process.argv.slice(2);
  const cli = await createCli(context, args);
  await cli.parseAsync(args, { from: 'user' });
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed it already. Help and version arrive here, too, without an error.
    process.exitCode = error.exitCode === 0 ? 0 : problemOf('bad-request').exitCode;
  } else {
    const { code, message } = messageForUser(error);
    // An unexpected error is printed with its stack, for a bug report.
    context.stderr(code === 'internal' ? ((error as Error).stack ?? message) : `unseam: ${message}`);
    process.exitCode = problemOf(code).exitCode;
  }
}
