import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Card } from '../model/shelf/card.js';
import type { Bench } from './bench.js';

const BIN = fileURLToPath(new URL('../server/bin.js', import.meta.url));
const SEEDS = [1, 2, 3];
const IMAGES = 1000;
const VALIDATION = 200;
const EPOCHS = 11;
const LAST_BATCHES = 20;
const RANGE = { low: 1e-5, high: 0.1, steps: 100 };
const LIMITS = { loss: 0.059, suggestionFrom: 3e-4, suggestionTo: 1e-2 };

/**
 * Repeats the experiment of the course notebook with the `notebook` preset, for three seeds: 1,000 images of
 * 32×32 px, 800 of them for training, batches of 20, Adam at 1e-3, 11 epochs; and a learning-rate range test from
 * 1e-5 to 0.1. Limits: the mean training loss of the last 20 batches, and the rate that the test suggests.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const runs: Record<string, number | null>[] = [];
  try {
    await unseam([
      'samples',
      '-o',
      join(dir, 'data'),
      '-k',
      'small-shapes',
      '-s',
      '32',
      '-n',
      String(IMAGES),
    ]);
    const heldOut = Array.from({ length: VALIDATION }, (_, i) => IMAGES - VALIDATION + 1 + i);
    const validation = heldOut.map((n) => `small-shapes-${String(n).padStart(4, '0')}`).join();
    for (const seed of SEEDS) {
      const train = [
        ...['train', '--preset', 'notebook', '--name', `seed-${seed}`, '--models', join(dir, 'models')],
        ...['--images', join(dir, 'data', 'images'), '--labels', join(dir, 'data', 'labels')],
        ...['--classes', 'background,triangle,circle', '--validation', validation, '--seed', String(seed)],
      ];
      const { low, high, steps } = RANGE;
      const range = ['--lr-min', String(low), '--lr-max', String(high), '--lr-steps', String(steps)];
      const found = JSON.parse(
        await unseam([...train, '--find-lr', join(dir, 'lr.svg'), ...range]),
      ) as RangeTest;
      await unseam([...train, '--epochs', String(EPOCHS)]);
      const folder = join(dir, 'models', `seed-${seed}`, '1');
      const lines = (await readFile(join(folder, 'training', 'log.jsonl'), 'utf8')).trim().split('\n');
      const losses = lines.map((line) => JSON.parse(line) as LogLine).filter(({ kind }) => kind === 'step');
      const last = losses.slice(-LAST_BATCHES);
      const card = JSON.parse(await readFile(join(folder, 'card.json'), 'utf8')) as Card;
      const loss = last.reduce((sum, line) => sum + line.loss, 0) / last.length;
      const { suggestion } = found;
      runs.push({
        seed,
        loss: Number(loss.toFixed(4)),
        suggestion,
        macroJaccard: card.scores.validation!.meanIou!,
      });
      log(JSON.stringify(runs.at(-1)));
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
  const holds = runs.every(({ loss, suggestion }) => {
    const isWithin = suggestion! >= LIMITS.suggestionFrom && suggestion! <= LIMITS.suggestionTo;
    return loss! <= LIMITS.loss && isWithin;
  });
  return { runs, epochs: EPOCHS, limits: LIMITS, holds };
};

interface RangeTest {
  readonly suggestion: number | null;
}

interface LogLine {
  readonly kind: string;
  readonly loss: number;
}

/** Runs `unseam` with some arguments; returns its standard output. */
async function unseam(args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [BIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => (output.stdout += chunk));
  child.stderr.on('data', (chunk) => (output.stderr += chunk));
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`unseam ${args[0]} exited with code ${code}: ${output.stderr}`);
  return output.stdout;
}
