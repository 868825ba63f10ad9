import { newSpanId, newTraceId, type TraceContext } from './context.js';
import type { Sampler } from './sampler.js';

/** Values that a span is described by: numbers, names of models, codes and states. Never the name of a file. */
export type Attributes = Readonly<Record<string, string | number | boolean>>;

export interface SpanEvent {
  readonly name: string;
  /** Time of the event, in ms since 1970. */
  readonly atMs: number;
  readonly attributes: Attributes;
}

/** A span that has ended. */
export interface SpanData {
  readonly name: string;
  /** `server` for the request of a client. */
  readonly kind: 'internal' | 'server';
  readonly traceId: string;
  readonly spanId: string;
  /** Null for the first span of a trace. */
  readonly parentId: string | null;
  readonly state: string;
  /** Start of the span, in ms since 1970. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  readonly events: readonly SpanEvent[];
  /** Code of the failure; null for success. */
  readonly error: string | null;
}

export interface SpanOptions {
  /** Default `internal`. */
  readonly kind?: SpanData['kind'];
  /** Start of the span, in ms since 1970. Default now. */
  readonly startMs?: number;
  readonly attributes?: Attributes;
}

export interface SpanEnd extends Pick<SpanOptions, 'attributes'> {
  /** Another name than at first: that of a request is known when it has been routed. */
  readonly name?: string;
  readonly endMs?: number;
  readonly error?: string | null;
}

/** Events of a span at most: a job that is retried for days has no more. */
const MAX_EVENTS = 128;

/** An interval in a trace, which is sent when it has ended. */
export class Span {
  readonly #spanId = newSpanId();
  readonly #events: SpanEvent[] = [];
  readonly #startMs: number;
  #isEnded = false;

  /** @param parent where it is; its `spanId` is empty for the first span of a trace */
  constructor(
    private readonly name: string,
    private readonly parent: TraceContext,
    private readonly options: SpanOptions,
    private readonly tracer: { readonly now: () => number; readonly onEnd: (span: SpanData) => void },
  ) {
    this.#startMs = options.startMs ?? tracer.now();
  }

  get traceId(): string {
    return this.parent.traceId;
  }

  child(name: string, options: SpanOptions = {}): Span {
    return new Span(name, { ...this.parent, spanId: this.#spanId }, options, this.tracer);
  }

  event(name: string, attributes: Attributes = {}): void {
    if (this.#events.length < MAX_EVENTS) this.#events.push({ name, atMs: this.tracer.now(), attributes });
  }

  /** Ends it; only the first end counts. */
  end({ name = this.name, endMs = this.tracer.now(), attributes = {}, error = null }: SpanEnd = {}): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const { traceId, spanId, state } = this.parent;
    this.tracer.onEnd({
      name,
      kind: this.options.kind ?? 'internal',
      traceId,
      spanId: this.#spanId,
      parentId: spanId === '' ? null : spanId,
      state,
      startMs: this.#startMs,
      endMs: Math.max(endMs, this.#startMs),
      attributes: { ...this.options.attributes, ...attributes },
      events: this.#events,
      error,
    });
  }
}

/** Begins traces. */
export class Tracer {
  readonly #spans: { readonly now: () => number; readonly onEnd: (span: SpanData) => void };

  /**
   * @param onEnd called with each span that has ended
   * @param now ms since 1970
   */
  constructor(
    private readonly sampler: Sampler,
    onEnd: (span: SpanData) => void,
    now: () => number = Date.now,
  ) {
    this.#spans = { now, onEnd };
  }

  /**
   * Starts the first span of this server in a trace.
   * @param caller in whose trace it is; null for a trace that begins here
   * @returns null where the trace is not recorded
   */
  start(name: string, caller: TraceContext | null, options: SpanOptions = {}): Span | null {
    const parent = caller ?? { traceId: newTraceId(), spanId: '', isSampled: true, state: '' };
    if (!this.sampler(parent.traceId, caller?.isSampled ?? null)) return null;
    return new Span(name, parent, options, this.#spans);
  }
}
