import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

const execute = promisify(execFile);

const TRY_MS = 60_000;

export interface ToolResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Docker or Podman, whose command lines are the same as far as they are used here. */
export class ContainerTool {
  private constructor(readonly name: 'docker' | 'podman') {}

  /**
   * The first of both that works: Docker's client may be installed without its engine.
   * @throws Error where neither does
   */
  static async find(): Promise<ContainerTool> {
    for (const name of ['docker', 'podman'] as const) {
      const tool = new ContainerTool(name);
      if ((await tool.try('info')).code === 0) return tool;
    }
    throw new Error('this benchmark needs Docker or Podman');
  }

  /** Runs a command to its end, whatever its exit code; ends it after a minute. */
  async try(...args: readonly string[]): Promise<ToolResult> {
    const child = spawn(this.name, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: TRY_MS });
    const output = { stdout: '', stderr: '' };
    child.stdout.on('data', (chunk) => (output.stdout += chunk));
    child.stderr.on('data', (chunk) => (output.stderr += chunk));
    const [code] = (await once(child, 'close').catch((error: Error) => [error.message])) as [number];
    return { code, ...output };
  }

  /**
   * Runs a command that succeeds.
   * @returns its standard output, without the line break at the end
   * @throws Error with its standard error
   */
  async do(...args: readonly string[]): Promise<string> {
    const { stdout } = await execute(this.name, [...args], { maxBuffer: 64 << 20 });
    return stdout.trimEnd();
  }

  /** Builds an image of the working directory. */
  async build(tag: string, ...args: readonly string[]): Promise<void> {
    // Podman's own format has no health checks.
    const format = this.name === 'podman' ? ['--format', 'docker'] : [];
    await this.do('build', ...format, ...args, '-t', tag, '.');
  }

  /** The size of an image in bytes, and of its layers, the topmost first, by what made them. */
  async sizes(tag: string): Promise<{ bytes: number; layers: { bytes: number; by: string }[] }> {
    const bytes = Number(await this.do('image', 'inspect', '--format', '{{.Size}}', tag));
    const history = ['history', '--no-trunc', '--format', '{{.Size}}\t{{.CreatedBy}}'];
    const layers = (await this.do(...history, tag))
      .split('\n')
      .map((line) => line.split('\t'))
      .map(([size, by = '']) => ({ bytes: bytesOf(size!), by: by.slice(0, 80) }))
      .filter((layer) => layer.bytes > 0);
    return { bytes, layers };
  }
}

/** Docker's and Podman's sizes for people: `105MB`, `3.58 kB`. */
function bytesOf(text: string): number {
  const [, number, unit = ''] = /^([\d.]+) ?([kMG]?)B$/.exec(text)!;
  return Number(number) * 1000 ** ' kMG'.indexOf(unit || ' ');
}
