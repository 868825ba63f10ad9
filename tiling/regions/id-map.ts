import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs';

const PAGE_VALUES = 1 << 14;
const PAGES = 256;
/** Set where a serial has an id; otherwise the value is the serial that it was merged into, plus one. */
const HAS_ID = 2 ** 31;

/**
 * Which region the runs of a sweep turned out to belong to, by their serials: in a file, with the pages in
 * use in memory, since a noisy mask of a slide has more of them than fit.
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

  /** The id of the region that a serial belongs to. */
  idOf(serial: number): number {
    let at = serial;
    let value = this.#get(at);
    while (value < HAS_ID) {
      if (value === 0) throw new Error(`serial ${serial} belongs to no region`);
      at = value - 1;
      value = this.#get(at);
    }
    if (at !== serial) this.#set(serial, value); // the way is not gone twice
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
      if (this.#pages.size === PAGES) {
        this.#pages.delete(number); // the most recently used is last
        this.#pages.set(number, known);
      }
      return known;
    }
    const page = { values: new Uint32Array(PAGE_VALUES), changed: false };
    readSync(this.#file, page.values, 0, page.values.byteLength, number * page.values.byteLength);
    for (const [oldest, { values, changed }] of this.#pages) {
      if (this.#pages.size < PAGES) break;
      if (changed) writeSync(this.#file, values, 0, values.byteLength, oldest * values.byteLength);
      this.#pages.delete(oldest);
    }
    this.#pages.set(number, page);
    return page;
  }
}
