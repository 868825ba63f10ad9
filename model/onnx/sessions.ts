import './no-telemetry.js';
import * as ort from 'onnxruntime-node';
import type { GraphPrecision } from '../devices/device.js';
import { graphError, ModelError, PrecisionError } from '../errors.js';
import { FLUSH_DENORMALS, findBlock } from './blocked.js';
import { compile, type Program } from './compile.js';
import { type Diagnostics, dumpGraph, profileOptions } from './diagnostics.js';
import { halve } from './half/halve.js';
import { encodeModel, type Graph } from './proto.js';
import { configOf, type DeviceOptions, executionProviders } from './providers.js';

export interface SessionOptions extends DeviceOptions {
  /** Threads that share one operator's work where a run does not say otherwise, at least 1. */
  readonly threads: number;
  /**
   * Compiled graphs in the cache, at least 1, such as 32; the least recently used is evicted. Infinite where the caller
   * releases them.
   */
  readonly maxSessions: number;
  /** Of the graphs of frozen networks. Default: fp32. */
  readonly precision?: GraphPrecision;
  /** Default: nothing is written. */
  readonly diagnostics?: Diagnostics;
  /** The lane that has these sessions, from 0, as names of profiles state it. Default 0. */
  readonly lane?: number;
}

/**
 * A session's threads spin while they wait for the next operator, which is a tenth faster than to sleep. After a run
 * they would spin on, and take a core each from other lanes.
 */
const STOP_SPINNING = { force_spinning_stop: '1' } as const;

/** The message of ONNX Runtime where WebGPU's feature `shader-f16` is missing. */
const LACKS_HALVES = /requires f16/;

interface Entry {
  readonly session: Promise<ort.InferenceSession>;
  readonly constantIds: ReadonlySet<number>;
}

/** A bounded cache of sessions by graph structure and threads; the least recently used is evicted. */
export class SessionCache {
  readonly #entries = new Map<string, Entry>();
  #compiled = 0;
  #block: Promise<number | null> | null = null;

  constructor(private readonly options: SessionOptions) {}

  /** Sessions in the cache, and graphs compiled so far. */
  get stats(): { readonly sessions: number; readonly compiled: number } {
    return { sessions: this.#entries.size, compiled: this.#compiled };
  }

  /** Channels in a block; see `findBlock`. Probed once. */
  get block(): Promise<number | null> {
    this.#block ??= findBlock(this.options.provider, this.options.threads);
    return this.#block;
  }

  /**
   * The session of a program's graph, compiled where it is not in the cache.
   * @param threads that share one operator's work
   * @throws GraphError, OutOfMemoryError where the graph cannot be encoded, or ONNX Runtime rejects it
   */
  async get(program: Program, threads: number): Promise<ort.InferenceSession> {
    const entryKey = `${threads} ${program.key}`;
    const known = this.#entries.get(entryKey);
    if (known) {
      this.#entries.delete(entryKey);
      this.#entries.set(entryKey, known);
      return known.session;
    }
    const entry: Entry = {
      session: this.#create(program, threads),
      constantIds: new Set(program.constants.map((data) => data.constantId!)),
    };
    this.#entries.set(entryKey, entry);
    try {
      const session = await entry.session;
      this.#compiled++;
      for (const [key, old] of this.#entries) {
        if (this.#entries.size <= this.options.maxSessions) break;
        await this.#release(key, old);
      }
      return session;
    } catch (error) {
      this.#entries.delete(entryKey);
      throw error;
    }
  }

  /** Releases the session of a program's graph, if it is in the cache. */
  async release(program: Program, threads: number): Promise<void> {
    const key = `${threads} ${program.key}`;
    const entry = this.#entries.get(key);
    if (entry) await this.#release(key, entry);
  }

  /** Releases the sessions of graphs that hold a frozen tensor. */
  async releaseConstant(constantId: number): Promise<void> {
    for (const [key, entry] of this.#entries) {
      if (entry.constantIds.has(constantId)) await this.#release(key, entry);
    }
  }

  /** Releases all sessions. */
  async clear(): Promise<void> {
    for (const [key, entry] of this.#entries) await this.#release(key, entry);
  }

  async #release(key: string, entry: Entry): Promise<void> {
    this.#entries.delete(key);
    const session = await entry.session;
    if (this.options.diagnostics?.profileDir !== undefined) session.endProfiling();
    await session.release();
  }

  async #create(program: Program, threads: number): Promise<ort.InferenceSession> {
    // blocks are of 32-bit floats
    const block = program.precision === 'fp16' ? null : await this.block;
    const { graph, model } = encode(program, block);
    const { graphsDir, profileDir } = this.options.diagnostics ?? {};
    if (graphsDir !== undefined) await dumpGraph(graphsDir, graph, model);
    const place = `lane-${this.options.lane ?? 0}-threads-${threads}`;
    const profiling = profileDir === undefined ? {} : await profileOptions(profileDir, model, place);
    try {
      return await ort.InferenceSession.create(model, {
        ...profiling,
        executionProviders: executionProviders(this.options),
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        executionMode: 'sequential',
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
        extra: {
          session: { ...FLUSH_DENORMALS.session, ...STOP_SPINNING, ...configOf(this.options.provider) },
        },
      });
    } catch (cause) {
      if (program.precision === 'fp16' && LACKS_HALVES.test(String(cause))) {
        throw new PrecisionError('the device has no floats of 16 bits: choose --precision fp32', { cause });
      }
      throw graphError(`ONNX Runtime rejected a graph of ${program.nodes.length} operators`, cause);
    }
  }
}

/** Compiles a program to an ONNX model, which holds a copy of its constants: the memory may not suffice. */
function encode(
  program: Program,
  block: number | null,
): { readonly graph: Graph; readonly model: Uint8Array } {
  try {
    const compiled = compile(program, block);
    const isFrozen = program.constants.length > 0;
    const graph = program.precision === 'fp16' ? halve(compiled, isFrozen) : compiled;
    return { graph, model: encodeModel(graph) };
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw graphError(`a graph of ${program.nodes.length} operators cannot be encoded`, cause);
  }
}
