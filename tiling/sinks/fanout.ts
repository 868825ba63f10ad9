import type { Rect } from '../geometry.js';
import type { MaskArray, MaskSink } from '../sink.js';

/** Gives every band to several sinks. What fails in one fails in all. */
export class FanoutSink implements MaskSink {
  constructor(private readonly sinks: readonly MaskSink[]) {}

  async writeBand(rect: Rect, data: MaskArray): Promise<void> {
    await settled(this.sinks.map((sink) => sink.writeBand(rect, data)));
  }

  async finish(): Promise<void> {
    for (const sink of this.sinks) await sink.finish();
  }

  async abort(): Promise<void> {
    await settled(this.sinks.map((sink) => sink.abort()));
  }
}

/** Waits for all, then fails as the first that failed: none is left writing behind its caller's back. */
export async function settled(tasks: readonly Promise<void>[]): Promise<void> {
  for (const result of await Promise.allSettled(tasks)) {
    if (result.status === 'rejected') throw result.reason;
  }
}
