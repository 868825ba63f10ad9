import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { encodeSpans } from './otlp.js';
import type { TraceSettings } from './settings.js';
import type { SpanData } from './tracer.js';

/** Statuses after which the same request may succeed (https://opentelemetry.io/docs/specs/otlp/#failures-1). */
const TRANSIENT: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** Attempts to send a batch, and the time before each of the next, in ms. */
const RETRY_MS = [1000, 2000, 4000, 8000] as const;
/** The longest wait that a receiver may ask for, in ms. */
const MAX_WAIT_MS = 30_000;
/** How long the last spans of a server may take, in ms. */
const CLOSE_MS = 2000;

export interface ExporterOptions {
  readonly settings: Pick<
    TraceSettings,
    'url' | 'headers' | 'timeoutMs' | 'resource' | 'maxQueue' | 'maxBatch' | 'delayMs'
  >;
  readonly log: Pick<Logger, 'warn' | 'info'>;
  /**
   * Called with numbers of spans that were sent, or dropped because there are too many or the receiver refuses them.
   */
  readonly onSpans: (outcome: 'sent' | 'dropped', count: number) => void;
}

/**
 * Sends spans to an OTLP receiver, by HTTP and in JSON, some at a time. Nothing waits for it: what the receiver does
 * not take in time is dropped, and counted.
 */
export class SpanExporter {
  readonly #queue: SpanData[] = [];
  readonly #closing = new AbortController();
  #timer: NodeJS.Timeout | null = null;
  /** The batch that is being sent. */
  #sending: Promise<void> | null = null;
  #isFailing = false;

  constructor(private readonly options: ExporterOptions) {}

  /** Queues a span. */
  add(span: SpanData): void {
    const { maxQueue, maxBatch, delayMs } = this.options.settings;
    if (this.#queue.length >= maxQueue || this.#closing.signal.aborted) {
      this.options.onSpans('dropped', 1);
      return;
    }
    this.#queue.push(span);
    if (this.#queue.length >= maxBatch) this.#send();
    else this.#timer ??= setTimeout(() => this.#send(), delayMs).unref();
  }

  /** Sends what is queued, if the receiver accepts it within two seconds. */
  async close(): Promise<void> {
    const last = setTimeout(() => this.#closing.abort(), CLOSE_MS).unref();
    while ((this.#queue.length > 0 || this.#sending) && !this.#closing.signal.aborted) {
      this.#send();
      await this.#sending;
    }
    clearTimeout(last);
    this.#closing.abort();
    this.options.onSpans('dropped', this.#queue.splice(0).length);
    await this.#sending;
  }

  /** Sends a batch, and then the next, while there are as many as a batch has. */
  #send(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#sending) return;
    const { maxBatch, delayMs } = this.options.settings;
    const batch = this.#queue.splice(0, maxBatch);
    if (batch.length === 0) return;
    this.#sending = this.#deliver(batch).finally(() => {
      this.#sending = null;
      if (this.#queue.length >= maxBatch) this.#send();
      else if (this.#queue.length > 0) this.#timer ??= setTimeout(() => this.#send(), delayMs).unref();
    });
  }

  /** Sends a batch, several times if need be. Never rejects. */
  async #deliver(batch: readonly SpanData[]): Promise<void> {
    const { settings, onSpans } = this.options;
    const body = encodeSpans(settings.resource, batch);
    for (let attempt = 0; ; attempt++) {
      const failure = await this.#post(body);
      if (failure === null) {
        this.#recovered();
        onSpans('sent', batch.length);
        return;
      }
      this.#failed(failure.reason);
      const waitMs = failure.waitMs ?? RETRY_MS[attempt] ?? null;
      if (!failure.isTransient || attempt >= RETRY_MS.length || waitMs === null) break;
      await delay(waitMs, undefined, { signal: this.#closing.signal, ref: false }).catch(() => undefined);
      if (this.#closing.signal.aborted) break;
    }
    onSpans('dropped', batch.length);
  }

  /** @returns null where the receiver has taken it */
  async #post(body: string): Promise<Failure | null> {
    const { url, headers, timeoutMs } = this.options.settings;
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body,
        redirect: 'error', // headers may have a key of the receiver
        signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), this.#closing.signal]),
      });
      await response.body?.cancel(); // a partial success is not repeated
      if (response.ok) return null;
      const { status } = response;
      const after = Number(response.headers.get('retry-after') ?? Number.NaN) * 1000;
      return {
        reason: `HTTP ${status}`,
        isTransient: TRANSIENT.has(status),
        waitMs: after >= 0 ? Math.min(after, MAX_WAIT_MS) : null,
      };
    } catch (error) {
      const { message, cause } = error as Error;
      const reason = cause instanceof Error ? `${message}: ${cause.message}` : message;
      return { reason, isTransient: true, waitMs: null };
    }
  }

  /** Logs the first of several failures. */
  #failed(reason: string): void {
    if (!this.#isFailing) this.options.log.warn({ reason }, 'traces cannot be sent');
    this.#isFailing = true;
  }

  #recovered(): void {
    if (this.#isFailing) this.options.log.info('traces are sent again');
    this.#isFailing = false;
  }
}

interface Failure {
  readonly reason: string;
  readonly isTransient: boolean;
  /** Delay that the receiver requests, in ms; null if it requests none. */
  readonly waitMs: number | null;
}
