export type Priority = 'interactive' | 'normal' | 'bulk';

/** What a client did, to be compared with what the server counted. */
export class Ledger {
  readonly #requests = new Map<string, number>();
  readonly #jobs = new Map<string, number>();
  readonly #ended = new Map<string, number>();
  #pixels = 0;
  #uploadBytes = 0;
  #resultBytes = 0;

  /** @param route as the server names it, such as `/v1/jobs/:id` */
  countRequest(method: string, route: string, status: number): void {
    add(this.#requests, requestKey(method, route, String(status)));
  }

  /** Counts a mask that the server computed. */
  countPixels(pixels: number): void {
    this.#pixels += pixels;
  }

  /** Counts an image that the server received, and accepted. */
  countUpload(bytes: number): void {
    this.#uploadBytes += bytes;
  }

  /** Counts a mask that the server sent. */
  countResult(bytes: number): void {
    this.#resultBytes += bytes;
  }

  /** Counts a job that has ended, those included that end with their request. */
  countEnd(priority: Priority, state: string): void {
    add(this.#ended, `${priority} ${state}`);
  }

  /** Counts a job that has ended, as long as the server has it. */
  countJob(state: string, count = 1): void {
    add(this.#jobs, state, count);
  }

  /** Counts by route and status, such as `POST /v1/segment 200`. */
  get requests(): ReadonlyMap<string, number> {
    return this.#requests;
  }

  /** Jobs by state. */
  get jobs(): ReadonlyMap<string, number> {
    return this.#jobs;
  }

  /** Jobs that ended, such as `normal succeeded`. */
  get ended(): ReadonlyMap<string, number> {
    return this.#ended;
  }

  get uploadBytes(): number {
    return this.#uploadBytes;
  }

  get resultBytes(): number {
    return this.#resultBytes;
  }

  get pixels(): number {
    return this.#pixels;
  }
}

export const requestKey = (method: string, route: string, status: string): string =>
  `${method} ${route} ${status}`;

function add(counts: Map<string, number>, key: string, more = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + more);
}
