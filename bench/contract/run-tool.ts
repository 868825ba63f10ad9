import { spawn } from 'node:child_process';
import { once } from 'node:events';

interface ToolOptions {
  readonly cwd?: string;
  /** Beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Whether an exit code other than 0 is a result. Default false. */
  readonly mayFail?: boolean;
}

/** Runs a command to its end. @throws Error with what it said, where it cannot be started or fails */
export async function runTool(
  command: string,
  args: readonly string[],
  { cwd, env, mayFail = false }: ToolOptions = {},
): Promise<{ readonly stdout: string }> {
  const child = spawn(command, args, {
    ...(cwd !== undefined && { cwd }),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += chunk));
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 && !mayFail) throw new Error(`${command} exited with ${code}: ${stderr}${stdout}`);
  return { stdout };
}
