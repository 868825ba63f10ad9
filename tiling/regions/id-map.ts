import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

const PAGE_VALUES = 1 << 14;
const CACHED_PAGES = 256;
/** Added to a value that is an id; any other is the serial that a part was merged into, plus one. */
const HAS_ID = 2 ** 31;

/**
 * Maps the parts of a sweep, by their serials, to the ids of their regions. It is a file whose most recently used
 * pages are cached, because a noisy mask of a slide has more parts than fit into memory.
 */
export class IdMap {
  readonly #file: number;
  readonly #pages = new Map<number, { values: Uint32Array; changed: boolean }>();

  constructor(private readonly path: string) {
    this.#file = openSync(path, 'w+');
  }

  merge(serial: number, into: number): void {
    this.#set(serial, into + 1);
  }

  setId(serial: number, id: number): void {
    this.#set(serial, HAS_ID + id);
  }

  /** Looks up the id of the region that a part belongs to. */
  idOf(serial: number): number {
    let at = serial;
    let value = this.#get(at);
    while (value < HAS_ID) {
      if (value === 0) throw new Error(`part ${serial} belongs to no region`);
      at = value - 1;
      value = this.#get(at);
    }
    if (at !== serial) this.#set(serial, value); // shortens the path for the next lookup
    return value - HAS_ID;
  }

  close(): void {
    closeSync(this.#file);
    rmSync(this.path, { force: true });
  }

  #get(index: number): number {
    return this.#page(index).values[index % PAGE_VALUES]!;
  }

  #set(index: number, value: number): void {
    const page = this.#page(index);
    page.values[index % PAGE_VALUES] = value;
    page.changed = true;
  }

  #page(index: number): { values: Uint32Array; changed: boolean } {
    const number = Math.floor(index / PAGE_VALUES);
    const known = this.#pages.get(number);
    if (known) {
      if (this.#pages.size === CACHED_PAGES) {
        this.#pages.delete(number); // moves it to the end, as the most recently used
        this.#pages.set(number, known);
      }
      return known;
    }
    const page = { values: new Uint32Array(PAGE_VALUES), changed: false };
    readSync(this.#file, page.values, 0, page.values.byteLength, number * page.values.byteLength);
    for (const [oldest, { values, changed }] of this.#pages) {
      if (this.#pages.size < CACHED_PAGES) break;
      if (changed) writeSync(this.#file, values, 0, values.byteLength, oldest * values.byteLength);
      this.#pages.delete(oldest);
    }
    this.#pages.set(number, page);
    return page;
  }
}
