import type { Rect } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';

/** Passes every band to several sinks at once. Where one fails, all fail. */
export class FanoutSink implements MaskSink {
  constructor(private readonly sinks: readonly MaskSink[]) {}

  async writeBand(rect: Rect, data: MaskArray, plane: number): Promise<void> {
    await settleAll(this.sinks.map((sink) => sink.writeBand(rect, data, plane)));
  }

  async finish(): Promise<void> {
    for (const sink of this.sinks) await sink.finish();
  }

  async abort(): Promise<void> {
    await settleAll(this.sinks.map((sink) => sink.abort()));
  }
}

/** Waits for all tasks, then rethrows the first failure: none is still writing when the caller cleans up. */
export async function settleAll(tasks: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(tasks)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
