/** Rate limit of a caller, as a token bucket. */
export interface Rate {
  /** Requests per second, on average. More than 0. */
  readonly perSecond: number;
  /** Requests at once, after a pause. At least 1. */
  readonly burst: number;
}

/** Whether a request is within its caller's rate, and how much of it is left. */
export interface Allowance {
  readonly isAllowed: boolean;
  /** Requests that are allowed at once now. */
  readonly remaining: number;
  /** Seconds until a whole burst is allowed again. */
  readonly resetS: number;
  /** Seconds until the next request is allowed; 0 if one is now. */
  readonly retryAfterS: number;
}

/** The level of a bucket at a time, from which its current level follows. */
interface Bucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** Maximum number of buckets in memory. A full bucket need not be stored, so only those of busy callers are. */
const MAX_BUCKETS = 10_000;

/** Limits the requests of each caller to a rate: a bucket of tokens each, of which a request takes one. */
export class RateLimiter {
  /** Buckets by caller, the least recently used first. */
  readonly #buckets = new Map<string, Bucket>();

  /** @param now a clock in ms that never goes back */
  constructor(
    private readonly rate: Rate,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Counts a request of a caller, if it is allowed. */
  take(caller: string): Allowance {
    const { perSecond, burst } = this.rate;
    const atMs = this.now();
    const bucket = this.#buckets.get(caller) ?? { tokens: burst, atMs };
    const held = Math.min(burst, bucket.tokens + ((atMs - bucket.atMs) / 1000) * perSecond);
    const isAllowed = held >= 1;
    const tokens = isAllowed ? held - 1 : held;
    this.#buckets.delete(caller);
    this.#buckets.set(caller, { tokens, atMs });
    // Too many callers: the least recent one is evicted.
    if (this.#buckets.size > MAX_BUCKETS) this.#buckets.delete(this.#buckets.keys().next().value!);
    return {
      isAllowed,
      remaining: Math.floor(tokens),
      resetS: Math.ceil((burst - tokens) / perSecond),
      retryAfterS: Math.max(0, Math.ceil((1 - tokens) / perSecond)),
    };
  }
}
