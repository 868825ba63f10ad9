import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Engine, type Trainee } from '../model/engine.js';
import { AUGMENTATIONS } from '../model/train/augment.js';
import { PLAIN_TRAINING, type TrainingBatch } from '../model/train/trainer.js';
import type { UnetConfig } from '../model/unet.js';
import { LabelCodec } from '../server/training/data/labels.js';
import { Sampler } from '../server/training/data/sampler.js';
import type { Raster } from '../tiling/raster.js';
import { paintMembranes } from '../tiling/samples/membranes.js';
import { memorySource } from '../tiling/sources/memory.js';
import { type Bench, median } from './bench.js';
import { writeUntrained } from './untrained.js';

const SIDE = 572;
const BASES = [16, 32];
const ROUNDS = 7;
const THREADS = 2;
const LIMITS = { fullOverBare: 1.1, bareOverForward16: 5.5, bareOverForward32: 4.8, bareOverTorch: 0.85 };

/**
 * Measures a training step on a batch already in memory (`bare`) against three others: the forward pass of the same
 * network when served (`forward`); a step during which the next batch is read, deformed and weighted, as in `unseam
 * train` (`full`); and PyTorch's step on the same network (`torch`), where Debian's python3-torch is installed.
 */
export const bench: Bench = async (log) => {
  const figures: Record<string, unknown> = {};
  let holds = true;
  for (const base of BASES) {
    const unet: UnetConfig = {
      channels: [1, 2, 4, 8, 16].map((n) => n * base),
      inputChannels: 1,
      classes: 2,
      seed: 1,
    };
    const torch = await Torch.start(base);
    const engine = Engine.start({ provider: 'cpu', threads: THREADS });
    const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
    try {
      await writeUntrained(engine, join(dir, 'net'), unet);
      const { id } = await engine.load(join(dir, 'net'));
      const trainee = await engine.train({ unet, ...PLAIN_TRAINING });
      const sampler = await membraneSampler(trainee);
      const tasks = stepsOf(engine, id, trainee, sampler, torch);
      const times: Record<string, number[]> = Object.fromEntries(
        Object.keys(tasks).map((name) => [name, []]),
      );
      for (let round = -1; round < ROUNDS; round++) {
        for (const [name, task] of Object.entries(tasks)) {
          const ms = await task();
          if (round >= 0) times[name]!.push(ms); // the first round compiles
        }
      }
      const medians = Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)]));
      const ratios = {
        fullOverBare: medians.full! / medians.bare!,
        bareOverForward: medians.bare! / medians.forward!,
        bareOverTorch: torch === null ? null : medians.bare! / medians.torch!,
      };
      const limit = LIMITS[`bareOverForward${base}` as keyof typeof LIMITS];
      holds &&= ratios.fullOverBare <= LIMITS.fullOverBare && ratios.bareOverForward <= limit;
      holds &&= ratios.bareOverTorch === null || ratios.bareOverTorch <= LIMITS.bareOverTorch;
      const peakMb = Math.round(process.resourceUsage().maxRSS / 1024);
      figures[`base${base}`] = rounded({ ...medians, ...ratios, peakMb });
      log(`base ${base}: ${JSON.stringify(figures[`base${base}`])}`);
    } finally {
      await torch?.close();
      await engine.close();
      await rm(dir, { recursive: true, force: true });
    }
  }
  return { side: SIDE, threads: THREADS, ...figures, limits: LIMITS, holds };
};

/** Steps per round; their mean is one measurement, long enough to include the preparation of batches. */
const STEPS = 3;

function stepsOf(engine: Engine, id: number, trainee: Trainee, sampler: Sampler, torch: Torch | null) {
  let drawn = 0;
  const draw = () => sampler.batch(0, drawn++);
  const options = { learningRate: 1e-3 };
  const copyOf = ({ pixels, labels, weights, ...rest }: TrainingBatch): TrainingBatch => {
    return { ...rest, pixels: pixels.slice(), labels: labels.slice(), weights: weights.slice() };
  };
  const mean = async (work: () => Promise<unknown>): Promise<number> => {
    await new Promise((settled) => setTimeout(settled, 100)); // until the threads of other sessions stop spinning
    const started = performance.now();
    await work();
    return (performance.now() - started) / STEPS;
  };
  return {
    forward: () => {
      const tile = () => ({
        data: new Uint8Array(SIDE * SIDE),
        count: 1,
        height: SIDE,
        width: SIDE,
        channels: 1,
      });
      return mean(async () => {
        for (let i = 0; i < STEPS; i++) await engine.predict(id, tile(), 'probabilities');
      });
    },
    bare: async () => {
      const batch = await draw();
      const batches = Array.from({ length: STEPS }, () => copyOf(batch));
      return mean(async () => {
        for (const each of batches) await trainee.step(each, options);
      });
    },
    full: async () => {
      let next = draw();
      await next; // in steady state, a batch is prepared during the step before it
      return mean(async () => {
        for (let i = 0; i < STEPS; i++) {
          const stepping = trainee.step(await next, options);
          next = draw();
          await stepping;
        }
        await next;
      });
    },
    ...(torch && { torch: () => torch.step() }),
  };
}

/** Samples crops of synthetic membranes, with the paper's augmentation and weight map. */
function membraneSampler(trainee: Trainee): Promise<Sampler> {
  const pairs = [1, 2, 3].map((seed) => {
    const rect = { x: 0, y: 0, width: 700, height: 700 };
    const [image, labels] = [new Uint8Array(700 * 700), new Uint8Array(700 * 700)];
    paintMembranes(rect, seed, image, labels);
    const raster = (data: Uint8Array): Raster => ({ data, width: 700, height: 700, channels: 1 });
    return { stem: `${seed}`, image: memorySource(raster(image)), labels: memorySource(raster(labels)) };
  });
  const counts = new Map([0, 1].map((label) => [label, 1]));
  const codec = new LabelCodec({ classes: 2, ignore: null, legend: null }, counts);
  return Sampler.create(
    pairs,
    { codec, labelBorder: 'reflect' },
    {
      tile: SIDE,
      halo: trainee.facts.geometry.halo,
      batch: 1,
      epochSteps: null,
      seed: 1,
      augmentation: AUGMENTATIONS.paper,
      classWeights: [1, 1],
      border: { w0: 10, sigma: 5, live: false },
    },
  );
}

/** PyTorch's training of the same network, in a child process that runs a round for each line it reads. */
class Torch {
  private constructor(
    private readonly child: ReturnType<typeof spawn>,
    private readonly lines: AsyncIterator<string>,
  ) {}

  /** @returns null where Python or PyTorch is missing */
  static async start(base: number): Promise<Torch | null> {
    const child = spawn(
      '/usr/bin/python3',
      ['-c', TORCH_STEP, String(base), String(THREADS), String(STEPS)],
      {
        stdio: ['pipe', 'pipe', 'ignore'],
      },
    );
    // without Python or PyTorch, the process exits and the lines end
    child.on('error', () => undefined);
    child.stdin!.on('error', () => undefined);
    const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]();
    const ready = await lines.next();
    return ready.done ? null : new Torch(child, lines);
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

const TORCH_STEP = `
import sys, time, torch
from torch import nn
base, threads, steps = map(int, sys.argv[1:4])
torch.set_num_threads(threads)
torch.manual_seed(1)
def block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3), nn.ReLU(inplace=True), nn.Conv2d(o, o, 3), nn.ReLU(inplace=True))
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        c = [base * 2 ** n for n in range(5)]
        self.down = nn.ModuleList(block(i, o) for i, o in zip([1] + c, c))
        self.grow = nn.ModuleList(nn.ConvTranspose2d(c[n + 1], c[n], 2, 2) for n in reversed(range(4)))
        self.up = nn.ModuleList(block(2 * c[n], c[n]) for n in reversed(range(4)))
        self.logits = nn.Conv2d(c[0], 2, 1)
    def forward(self, x):
        skips = []
        for n, down in enumerate(self.down):
            x = down(nn.functional.max_pool2d(x, 2) if n else x)
            skips.append(x)
        for grow, up, skip in zip(self.grow, self.up, reversed(skips[:-1])):
            x = grow(x)
            crop = (skip.shape[2] - x.shape[2]) // 2
            x = up(torch.cat([skip[:, :, crop:-crop, crop:-crop], x], 1))
        return self.logits(x)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
x = torch.rand(1, 1, ${SIDE}, ${SIDE})
y = torch.randint(0, 2, (1, 388, 388))
w = torch.rand(1, 388, 388)
def step():
    optimizer.zero_grad()
    loss = (nn.functional.cross_entropy(net(x), y, reduction='none') * w).sum() / w.sum()
    loss.backward()
    optimizer.step()
    return loss.item()
step()
print('ready', flush=True)
for line in sys.stdin:
    started = time.perf_counter()
    for _ in range(steps):
        step()
    print((time.perf_counter() - started) * 1000 / steps, flush=True)
`;

const rounded = (values: Record<string, number | null | undefined>): Record<string, number | null> =>
  Object.fromEntries(
    Object.entries(values).map(([name, v]) => [name, v == null ? null : Number(v.toFixed(3))]),
  );
