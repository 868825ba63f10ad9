import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { FOLDER, PYTHON } from '../rivals/python.js';

/** Memory layouts of PyTorch's images. Which one is faster depends on the network. */
export type TorchLayout = 'contiguous_format' | 'channels_last';

export interface TorchOptions {
  readonly layout: TorchLayout;
  /** Channels of the first level. */
  readonly base: number;
  /** Of the crop, in px. */
  readonly side: number;
  readonly threads: number;
  /** In each measurement. */
  readonly steps: number;
}

/** PyTorch's training of the paper's network, in a process that measures some steps for each line that it reads. */
export class Torch {
  private constructor(
    private readonly child: ReturnType<typeof spawn>,
    private readonly lines: AsyncIterator<string>,
  ) {}

  /** @throws Error if the script fails; stderr has its reason */
  static async start(options: TorchOptions): Promise<Torch> {
    const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    const child = spawn(PYTHON, [join(FOLDER, 'train_torch.py'), ...flags], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    if ((await lines.next()).done) throw new Error('train_torch.py failed');
    return new Torch(child, lines);
  }

  /** The mean time of a step in ms. */
  async step(): Promise<number> {
    this.child.stdin!.write('\n');
    return Number((await this.lines.next()).value);
  }

  async close(): Promise<void> {
    const ended = once(this.child, 'close');
    this.child.stdin!.end();
    await ended;
  }
}
