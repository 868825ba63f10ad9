import type { Rect } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';
import { settleAll } from './fanout.js';

/** Splits a mask of `classes + 1` floats per pixel, its probabilities and then its label, over two sinks. */
export class SplitSink implements MaskSink {
  constructor(
    private readonly classes: number,
    private readonly probabilities: MaskSink,
    private readonly labels: MaskSink,
  ) {}

  async writeBand(rect: Rect, data: MaskArray, plane: number): Promise<void> {
    const { classes } = this;
    const pixels = rect.width * rect.height;
    const probabilities = new Float32Array(pixels * classes);
    const labels = new Uint8Array(pixels);
    for (let i = 0, from = 0, to = 0; i < pixels; i++) {
      for (let c = 0; c < classes; c++) probabilities[to++] = data[from++]!;
      labels[i] = data[from++]!;
    }
    await settleAll([
      this.probabilities.writeBand(rect, probabilities, plane),
      this.labels.writeBand(rect, labels, plane),
    ]);
  }

  async finish(): Promise<void> {
    await this.probabilities.finish();
    await this.labels.finish();
  }

  async abort(): Promise<void> {
    await settleAll([this.probabilities.abort(), this.labels.abort()]);
  }
}
