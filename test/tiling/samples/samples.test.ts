import { describe, expect, it } from 'vitest';
import { SAMPLE_KINDS, type SampleKind, writeSample } from '../../../tiling/samples/sample.js';
import { MemorySink } from '../../../tiling/sinks/memory.js';
import { firstDifference } from '../../support/rasters.js';

describe.each(Object.keys(SAMPLE_KINDS) as SampleKind[])('%s', (kind) => {
  const { paint, classes } = SAMPLE_KINDS[kind];
  const size = { width: 300, height: 200 };
  const whole = async (seed: number) => {
    const [image, labels] = [new MemorySink(size, 1), new MemorySink(size, 1)];
    await writeSample(kind, size, seed, { image, labels });
    return { image: image.data as Uint8Array, labels: labels.data as Uint8Array };
  };

  it('contains exactly its classes', async () => {
    const { labels } = await whole(1);
    expect([...new Set(labels)].sort()).toEqual(classes.map((_, i) => i));
  });

  it('is the same for any region, and differs between seeds', async () => {
    const { image, labels } = await whole(3);
    const rect = { x: 61, y: 90, width: 100, height: 77 };
    const part = { image: new Uint8Array(7700), labels: new Uint8Array(7700) };
    paint(rect, 3, part.image, part.labels);
    const cut = (data: Uint8Array) =>
      part.image.map((_, i) => data[(rect.y + Math.floor(i / 100)) * size.width + rect.x + (i % 100)]!);
    expect(firstDifference(part.image, cut(image))).toBe(-1);
    expect(firstDifference(part.labels, cut(labels))).toBe(-1);
    expect(firstDifference((await whole(4)).labels, labels)).not.toBe(-1);
  });
});
