/** Something that happened to a job; `id` grows by one each time. */
export interface JobEvent {
  readonly id: number;
  readonly type: 'state' | 'progress';
  readonly data: unknown;
}

/** Events kept for listeners that come back. */
const KEPT = 256;

/** The events of one job: the last of them are kept, and each is told to who listens. */
export class EventLog {
  readonly #kept: JobEvent[] = [];
  readonly #listeners = new Set<(event: JobEvent | null) => void>();
  #next = 1;

  add(type: JobEvent['type'], data: unknown): void {
    const event = { id: this.#next++, type, data };
    this.#kept.push(event);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const listener of this.#listeners) listener(event);
  }

  /** The events after one that a listener has seen; null where some of them are gone. */
  after(id: number): readonly JobEvent[] | null {
    const oldest = this.#kept[0]?.id ?? this.#next;
    const known = Number.isInteger(id) && id + 1 >= oldest && id < this.#next;
    return !known ? null : this.#kept.filter((event) => event.id > id);
  }

  get last(): number {
    return this.#next - 1;
  }

  /** Tells the listeners that nothing more comes from here: the server stops. */
  end(): void {
    for (const listener of this.#listeners) listener(null);
  }

  /**
   * @param listener given each event, and null at the end
   * @returns what ends the listening
   */
  listen(listener: (event: JobEvent | null) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
