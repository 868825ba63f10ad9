import { describe, expect, it } from 'vitest';
import { hash } from '../../../tiling/samples/random.js';
import { AreaCount } from '../../../tiling/sinks/areas.js';
import { halve } from '../../../tiling/sinks/halve.js';

/** Labels in runs of up to 40 px, in the middle of a larger buffer. */
function labelsInRuns(width: number, height: number, offset: number): Uint8Array {
  const labels = new Uint8Array(new ArrayBuffer(width * height + offset), offset);
  for (let at = 0, run = 0; at < labels.length; run++) {
    const length = 1 + (hash(run, width, height) % 40);
    labels.fill(hash(run, 7, height) % 256, at, at + length);
    at += length;
  }
  return labels;
}

/** The most frequent of four, the first of equals, read as the TIFF's overviews are defined. */
function majority(labels: Uint8Array, width: number, height: number, x: number, y: number): number {
  const four = [y, Math.min(y + 1, height - 1)].flatMap((row) =>
    [x, Math.min(x + 1, width - 1)].map((column) => labels[row * width + column]!),
  );
  const count = (label: number) => four.filter((other) => other === label).length;
  return four.find((label) => count(label) === Math.max(...four.map(count)))!;
}

// Four labels are taken at a time where rows and the array begin at a multiple of four.
describe.each([
  [1, 1, 0],
  [64, 33, 0],
  [64, 32, 3],
  [61, 40, 0],
  [62, 7, 0],
])('labels of %i×%i px, %i bytes into their buffer', (width, height, offset) => {
  const labels = labelsInRuns(width, height, offset);

  it('are halved to their majorities', () => {
    const half = halve(labels, width, height, 1, 'majority');
    const [w, h] = [Math.ceil(width / 2), Math.ceil(height / 2)];
    const expected = Array.from({ length: w * h }, (_, i) =>
      majority(labels, width, height, (i % w) * 2, Math.floor(i / w) * 2),
    );
    expect(Array.from(half)).toEqual(expected);
  });

  it('are counted, band after band', async () => {
    const areas = new AreaCount();
    const rect = { x: 0, y: 0, width, height };
    await areas.writeBand(rect, labels);
    await areas.writeBand(rect, labels);
    const expected = Array<number>(256).fill(0);
    for (const label of labels) expected[label]! += 2;
    expect(areas.pixels(256)).toEqual(expected);
  });
});
