import type { Stage } from '../contract/stages.js';
import type { Attributes, Span, SpanOptions } from '../traces/tracer.js';
import type { JobRecord } from './job.js';

/** A stage of an attempt: its tiles overlap, so it is one span from its first beginning to its last end. */
interface StageSpan {
  startMs: number;
  endMs: number;
  /** Time of its tiles and bands, added up, in ms. */
  busyMs: number;
  count: number;
}

/** The trace of a job: a span for it, and one for each stage of each attempt. */
export class JobTrace {
  readonly #span: Span;
  readonly #stages = new Map<Stage, StageSpan>();

  /**
   * @param start starts the span of the job, in the trace of its request or in one of its own
   * @returns null if that trace is not recorded
   */
  static of(
    start: (name: string, options: SpanOptions) => Span | null,
    { id, priority, request, image, plan }: JobRecord,
  ): JobTrace | null {
    const span = start('job', {
      attributes: {
        'unseam.job.id': id,
        'unseam.job.class': priority,
        'unseam.model': request.model,
        'unseam.image.width': image.width,
        'unseam.image.height': image.height,
        'unseam.plan.tiles': plan.tiles,
      },
    });
    return span && new JobTrace(span);
  }

  private constructor(span: Span) {
    this.#span = span;
  }

  get traceId(): string {
    return this.#span.traceId;
  }

  /** @param endedAtMs ms since 1970 */
  stage(stage: Stage, durationMs: number, endedAtMs: number): void {
    const startMs = endedAtMs - durationMs;
    const known = this.#stages.get(stage);
    if (!known) {
      this.#stages.set(stage, { startMs, endMs: endedAtMs, busyMs: durationMs, count: 1 });
      return;
    }
    known.startMs = Math.min(known.startMs, startMs);
    known.endMs = Math.max(known.endMs, endedAtMs);
    known.busyMs += durationMs;
    known.count++;
  }

  event(name: string, attributes: Attributes = {}): void {
    this.#span.event(name, attributes);
  }

  /** Ends the stages of an attempt. */
  endAttempt(): void {
    for (const [stage, { startMs, endMs, busyMs, count }] of this.#stages) {
      const attributes = { 'unseam.stage.busy_ms': busyMs, 'unseam.stage.count': count };
      this.#span.child(stage, { startMs, attributes }).end({ endMs });
    }
    this.#stages.clear();
  }

  /** @param error the code of the failure; null for success */
  end(state: JobRecord['state'], error: string | null): void {
    this.endAttempt();
    this.#span.end({ attributes: { 'unseam.job.state': state }, error });
  }
}
