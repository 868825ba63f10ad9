import { pause } from '../server.js';
import type { ContainerTool } from './container-tool.js';

/** Options as a platform would set them: nothing of the system can be written, and no capability is left. */
const LOCKED = ['--read-only', '--cap-drop=all', '--security-opt=no-new-privileges'];
const READY_MS = 120_000;

export interface ContainerOptions {
  readonly image: string;
  readonly volume: string;
  /** That the server listens on, in the container and on this machine's loopback. */
  readonly port: number;
  /** Memory of the server and its processes together, in bytes. */
  readonly memoryBytes: number;
  /** More options, such as environment variables. Default none. */
  readonly args?: readonly string[];
}

/** A server in a container. */
export class ServerContainer {
  private constructor(
    private readonly tool: ContainerTool,
    readonly id: string,
    readonly url: string,
  ) {}

  /** Starts one, and waits until its health check succeeds. */
  static async start(tool: ContainerTool, options: ContainerOptions): Promise<ServerContainer> {
    const { image, volume, port, memoryBytes, args = [] } = options;
    const id = await tool.do(
      ...['run', '-d', ...LOCKED, `--memory=${memoryBytes}`, '-v', `${volume}:/data`],
      ...[
        '-e',
        `UNSEAM_PORT=${port}`,
        '-p',
        `127.0.0.1:${port}:${port}`,
        ...args,
        image,
        'serve',
        '--no-cache',
      ],
    );
    const container = new ServerContainer(tool, id, `http://127.0.0.1:${port}`);
    await container.healthy();
    return container;
  }

  /** Runs a command in a container of its own, with the same volume. */
  static async command(
    tool: ContainerTool,
    { image, volume }: Pick<ContainerOptions, 'image' | 'volume'>,
    ...args: readonly string[]
  ) {
    return tool.try('run', '--rm', ...LOCKED, '-v', `${volume}:/data`, image, ...args);
  }

  /** Waits until the health check of the image succeeds. */
  async healthy(): Promise<void> {
    for (const end = Date.now() + READY_MS; ; await pause(200)) {
      const { code, stderr } = await this.try('unseam', 'health');
      if (code === 0) return;
      if (Date.now() > end) throw new Error(`not healthy: ${stderr}\n${await this.log()}`);
    }
  }

  /** Runs a command in the container. */
  try(...command: readonly string[]) {
    return this.tool.try('exec', this.id, ...command);
  }

  /** Evaluates an expression of JavaScript in the container. */
  async evaluate(expression: string): Promise<unknown> {
    const { stdout, stderr } = await this.try('node', '-p', `JSON.stringify(${expression})`);
    if (!stdout) throw new Error(stderr);
    return JSON.parse(stdout);
  }

  /** Its processes, as Linux has them. */
  async processes(): Promise<{ pid: number; state: string; command: string }[]> {
    const read = `fs.readdirSync('/proc').filter(Number).map((pid) => { try {
      const state = /State:\\s+(\\w)/.exec(fs.readFileSync('/proc/' + pid + '/status', 'utf8'))[1];
      return { pid: Number(pid), state, command: fs.readFileSync('/proc/' + pid + '/cmdline', 'utf8') };
    } catch { return null; } }).filter((each) => each && !each.command.includes('JSON.stringify'))`;
    return (await this.evaluate(read)) as { pid: number; state: string; command: string }[];
  }

  signal(name: 'TERM' | 'KILL'): Promise<string> {
    return this.tool.do('kill', '-s', name, this.id);
  }

  /** Waits until it has ended. @returns its exit code */
  async ended(): Promise<number> {
    return Number(await this.tool.do('wait', this.id));
  }

  /** Starts it again after its end. */
  async restart(): Promise<void> {
    await this.tool.do('start', this.id);
    await this.healthy();
  }

  async log(): Promise<string> {
    const { stdout, stderr } = await this.tool.try('logs', this.id);
    return stdout + stderr;
  }

  async remove(): Promise<void> {
    await this.tool.try('rm', '-f', this.id);
  }
}
