/** Something that happened to a job; `id` grows by one each time. */
export interface JobEvent {
  readonly id: number;
  readonly type: 'state' | 'progress';
  readonly data: unknown;
}

/** Events buffered for clients that reconnect. */
const MAX_BUFFERED_EVENTS = 256;

/** The events of one job: each is published to the listeners, and the latest are buffered. */
export class EventLog {
  readonly #buffer: JobEvent[] = [];
  readonly #listeners = new Set<(event: JobEvent | null) => void>();
  #next = 1;

  add(type: JobEvent['type'], data: unknown): void {
    const event = { id: this.#next++, type, data };
    this.#buffer.push(event);
    if (this.#buffer.length > MAX_BUFFERED_EVENTS) this.#buffer.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** The events after the last one that a listener has seen; null when some of them are no longer buffered. */
  after(id: number): readonly JobEvent[] | null {
    const oldest = this.#buffer[0]?.id ?? this.#next;
    const isBuffered = Number.isInteger(id) && id + 1 >= oldest && id < this.#next;
    return isBuffered ? this.#buffer.filter((event) => event.id > id) : null;
  }

  /** The id of the latest event; 0 before the first. */
  get last(): number {
    return this.#next - 1;
  }

  /** Tells the listeners that no more events follow: the server closes. */
  end(): void {
    for (const listener of this.#listeners) listener(null);
  }

  /**
   * Subscribes to events.
   * @param listener called with each event, and with null at the end
   * @returns a function that unsubscribes
   */
  listen(listener: (event: JobEvent | null) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
