#!/usr/bin/env node
import { createCli } from './cli.js';
import { RequestError } from './errors.js';
import { codeOf, problemOf } from './problems.js';

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => stop.abort(new RequestError('cancelled', `stopped by ${signal}`)));
}

const context = {
  signal: stop.signal,
  stdout: (line: string) => void process.stdout.write(`${line}\n`),
  stderr: (line: string) => void process.stderr.write(`${line}\n`),
};

try {
  await createCli(context).parseAsync();
} catch (error) {
  const code = codeOf(error);
  const { exitCode } = problemOf(code);
  // What was not foreseen is shown whole, so that it can be reported.
  context.stderr(
    code === 'internal' ? ((error as Error).stack ?? String(error)) : `unseam: ${(error as Error).message}`,
  );
  process.exitCode = exitCode;
}
