import { OutOfMemoryError } from '../errors.js';

/** The part of WebAssembly that is used here; TypeScript declares it only in its library of the DOM. */
declare const WebAssembly: {
  readonly Memory: new (options: { readonly initial: number }) => LoopMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: object,
  ) => { readonly exports: Readonly<Record<string, (...parameters: number[]) => void>> };
};

/** A memory that loops read and write. Its buffer is never replaced. */
export interface LoopMemory {
  readonly buffer: ArrayBuffer;
}

const PAGE_BYTES = 2 ** 16;
/** The maximum size of a memory: addresses have 32 bits. */
export const MAX_MEMORY_BYTES = 2 ** 32;

/**
 * A memory of zeros.
 * @param bytes at most `MAX_MEMORY_BYTES`
 * @throws OutOfMemoryError
 */
export function allocate(bytes: number): LoopMemory {
  try {
    return new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE_BYTES) });
  } catch (cause) {
    throw new OutOfMemoryError(`no memory for weights and moments: ${bytes} bytes`, { cause });
  }
}

/** Instructions that push four floats. */
export type Vector = readonly number[];

// https://webassembly.github.io/spec/core/binary: instructions, types and sections
const [LOOP, BRANCH_IF, END] = [0x03, 0x0d, 0x0b];
const [GET, SET, I32_CONST, F32_CONST, I32_ADD, I32_LESS] = [0x20, 0x21, 0x41, 0x43, 0x6a, 0x49];
const [I32, F32, V128, FUNCTION, NO_RESULT] = [0x7f, 0x7d, 0x7b, 0x60, 0x40];
const [TYPES, IMPORTS, FUNCTIONS, EXPORTS, CODE] = [1, 2, 3, 7, 10];
const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const VECTOR_BYTES = 16;

/** A number of at least 0 in LEB128. */
function unsigned(n: number): number[] {
  return n < 128 ? [n] : [(n & 127) | 128, ...unsigned(n >>> 7)];
}

const vectorOf = (opcode: number): number[] => [0xfd, ...unsigned(opcode)];
const [LOAD, STORE, SPLAT] = [vectorOf(0x00), vectorOf(0x0b), vectorOf(0x13)];
/** Alignment, as a power of 2, and offset of an access to memory. */
const ALIGNED = [4, 0];

const binary =
  (opcode: number) =>
  (a: Vector, b: Vector): Vector => [...a, ...b, ...vectorOf(opcode)];
export const add = binary(0xe4);
export const sub = binary(0xe5);
export const mul = binary(0xe6);
export const div = binary(0xe7);
export const sqrt = (a: Vector): Vector => [...a, ...vectorOf(0xe3)];

/** A number, rounded to a float. */
export function constant(value: number): Vector {
  return [F32_CONST, ...new Uint8Array(Float32Array.of(value).buffer), ...SPLAT];
}

/**
 * Runs a loop.
 * @param addresses of its arrays
 * @param bytes of each array
 */
export type Loop<N extends string> = (
  addresses: readonly number[],
  bytes: number,
  scalars: Readonly<Record<N, number>>,
) => void;

/**
 * Writes a loop over arrays of floats, in WebAssembly, which computes four elements at a time. JavaScript computes one, in
 * 64 bits. Arrays begin at multiples of 16 bytes and consist of whole vectors, at least one.
 *
 * @typeParam N the names of scalars that are passed to each run
 */
export class LoopWriter<N extends string> {
  readonly #body: number[] = [];
  #locals = 0;

  /** @param arrays their number */
  constructor(
    private readonly arrays: number,
    private readonly scalars: readonly N[],
  ) {}

  /** The current four elements of an array. */
  load(array: number): Vector {
    return [GET, array, ...LOAD, ...ALIGNED];
  }

  /** A scalar that is passed to each run, four times. */
  scalar(name: N): Vector {
    return [GET, this.arrays + 1 + this.scalars.indexOf(name), ...SPLAT];
  }

  /** Evaluates into a local variable, here and once. */
  assign(computed: Vector): Vector {
    const local = this.arrays + 1 + this.scalars.length + this.#locals++;
    this.#body.push(...computed, SET, local);
    return [GET, local];
  }

  /** Writes the elements of an array. */
  store(array: number, value: Vector): void {
    this.#body.push(GET, array, ...value, ...STORE, ...ALIGNED);
  }

  compile(memory: LoopMemory): Loop<N> {
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(this.#module()), { '': { memory } });
    const { run } = exports;
    return (addresses, bytes, scalars) =>
      run!(...addresses, addresses[0]! + bytes, ...this.scalars.map((name) => scalars[name]));
  }

  #module(): Uint8Array {
    const { arrays, scalars } = this;
    const parameters = [...Array(arrays + 1).fill(I32), ...Array(scalars.length).fill(F32)];
    const advance = (array: number) => [GET, array, I32_CONST, VECTOR_BYTES, I32_ADD, SET, array];
    const code = [
      ...[1, ...unsigned(this.#locals), V128],
      ...[LOOP, NO_RESULT, ...this.#body, ...Array.from({ length: arrays }, (_, i) => advance(i)).flat()],
      ...[GET, 0, GET, arrays, I32_LESS, BRANCH_IF, 0, END, END],
    ];
    return Uint8Array.from([
      ...HEADER,
      ...section(TYPES, [FUNCTION, ...sized(parameters), 0]),
      ...section(IMPORTS, [...named(''), ...named('memory'), 2, 0, 1]),
      ...section(FUNCTIONS, [0]),
      ...section(EXPORTS, [...named('run'), 0, 0]),
      ...section(CODE, sized(code)),
    ]);
  }
}

const sized = (bytes: readonly number[]): number[] => [...unsigned(bytes.length), ...bytes];
const named = (name: string): number[] => sized([...new TextEncoder().encode(name)]);
/** A section with one entry. */
const section = (id: number, entry: readonly number[]): number[] => [id, ...sized([1, ...entry])];
