import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface ToolRun {
  /** Aborts the tool, and whatever it has started. */
  readonly signal: AbortSignal;
  /** Called with each line of output. */
  readonly onLine?: (line: string) => void;
  /** Default: that of this process. */
  readonly cwd?: string;
  /** Default: that of this process. */
  readonly env?: NodeJS.ProcessEnv;
}

export interface ToolOutcome {
  /** The exit status; null for a tool that cannot be started, or was killed. */
  readonly code: number | null;
  readonly lines: readonly string[];
}

/**
 * Runs a tool of this machine to its end.
 * @throws the signal's reason
 */
export async function runTool(
  [file, ...args]: readonly string[],
  { signal, onLine = () => undefined, ...options }: ToolRun,
): Promise<ToolOutcome> {
  signal.throwIfAborted();
  // In a group of its own: Ctrl-C reaches it by `signal` alone, and with it whatever it has started.
  const child = spawn(file!, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const lines: string[] = [];
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      onLine(line);
    });
  }
  const kill = (): void => {
    try {
      process.kill(-child.pid!, 'SIGKILL');
    } catch {
      child.kill('SIGKILL'); // where there are no groups
    }
  };
  signal.addEventListener('abort', kill, { once: true });
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    signal.throwIfAborted();
    return { code, lines };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    return { code: null, lines: [...lines, (error as Error).message] };
  } finally {
    signal.removeEventListener('abort', kill);
  }
}
