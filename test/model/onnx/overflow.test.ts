import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { difference } from '../../support/oracle.js';
import type { ImageName, PrintedScores } from '../../support/print-scores.js';
import { SOFTWARE_GPU, titled } from '../../support/software-gpu.js';

const PROGRAM = fileURLToPath(new URL('../../support/print-scores.js', import.meta.url));

async function scoresOn(provider: string, use: 'frozen' | 'training') {
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, provider, use], {
    env: SOFTWARE_GPU ?? process.env,
  });
  return JSON.parse(stdout) as Record<ImageName, PrintedScores>;
}

/** SwiftShader has no floats of 16 bits: numbers overflow those of 32 here. */
describe.each([
  { provider: 'cpu', title: 'the CPU', isMissing: false },
  { provider: 'webgpu', title: titled('WebGPU'), isMissing: SOFTWARE_GPU === null },
])('a graph for 16 bits, on $title', ({ provider, isMissing }) => {
  it.skipIf(isMissing)('of a frozen network finds overflows', { timeout: 240_000 }, async () => {
    const { ordinary, huge, cancelling } = await scoresOn(provider, 'frozen');
    expect(ordinary.isRefused).toBe(false);
    expect(difference(ordinary.expected.map(Number), ordinary.scores.map(Number))).toBeLessThan(1e-3);
    expect(huge.isRefused).toBe(true);
    expect(cancelling.isRefused).toBe(true);
    // they would be hidden: ReLUs and poolings of a GPU make numbers of NaN
    const hidden = [huge, cancelling].map(({ expected }) => !expected.includes(null));
    expect(hidden).toEqual(provider === 'cpu' ? [false, false] : [true, true]);
  });

  it.skipIf(isMissing)('of a training has no scores where maps overflow', { timeout: 240_000 }, async () => {
    const { ordinary, huge, cancelling } = await scoresOn(provider, 'training');
    expect(difference(ordinary.expected.map(Number), ordinary.scores.map(Number))).toBeLessThan(1e-3);
    expect(new Set(huge.scores)).toEqual(new Set([null]));
    expect(cancelling.scores).toContain(null);
    expect(huge.isRefused).toBe(null);
  });
});
