import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isLossOfDevice } from '../../model/errors.js';
import { testText } from '../pipeline/device-text.js';
import { collectLessOften } from '../pipeline/heap-growth.js';
import { defaultTileCache } from '../pipeline/memory.js';
import { ModelHost, type ModelHostOptions } from '../pipeline/model-host.js';
import { sayUnused } from '../terminal/engine.js';
import {
  type BatchFlags,
  type CacheFlags,
  type EngineFlags,
  type MemoryFlags,
  tileCacheOf,
} from '../terminal/options.js';
import { engineOf } from '../terminal/requested-engine.js';

/** The flags of commands that only plan have no caches: their plan is that of the defaults. */
const DEFAULT_CACHES: CacheFlags = { cache: true };

/** What a host of models is started with. */
export type ModelHostFlags = EngineFlags & MemoryFlags & BatchFlags & Partial<CacheFlags>;

/**
 * Runs `work` with a host of models, which ends with it. Where `auto` has a GPU that is lost in it, it is run again with
 * a host on the CPU: it goes on where it was, or starts over.
 * @param log called with what a user should know of it
 */
export async function withModelHost<Result>(
  flags: ModelHostFlags,
  log: (line: string) => void,
  work: (host: ModelHost) => Promise<Result>,
): Promise<Result> {
  collectLessOften();
  const request = await requestOf(flags, log);
  let isAutoGpu = false;
  const run = async (own: ModelHostOptions, requested: ModelHostFlags): Promise<Result> => {
    const host = await ModelHost.open(own);
    isAutoGpu = host.isAutoGpu;
    sayUnused(requested, host, log);
    try {
      return await work(host);
    } finally {
      await host.close();
    }
  };
  try {
    return await run(request, flags);
  } catch (error) {
    if (!isAutoGpu || !isLossOfDevice(error)) throw error;
    const avoidGpu = (error as Error).message;
    return run({ ...request, engine: { ...request.engine, avoidGpu } }, { ...flags, device: 'auto' });
  }
}

async function requestOf(flags: ModelHostFlags, log: (line: string) => void): Promise<ModelHostOptions> {
  const cache = await cacheFiles(flags.cacheDir, log);
  return {
    modelsDir: flags.models,
    engine: {
      ...engineOf(flags),
      ...(flags.batch !== undefined && { batch: flags.batch }),
      ...(cache && { outcomes: cache.outcomes }),
    },
    ...(cache && { tunings: cache.tunings }),
    onSearch: ({ card }) =>
      log(`measuring how ${card.name} is computed fastest here: about six seconds${cache ? ', once' : ''}`),
    onSlowTest: ({ card }, use, devices) => log(testText(card.name, use, devices)),
    memory: flags.memory,
    tileCacheBytes: tileCacheOf({ ...DEFAULT_CACHES, ...flags }) ?? defaultTileCache(flags.memory),
  };
}

/** The files for what was measured of this machine; null without a folder that can be made: it is measured each time. */
async function cacheFiles(
  folder: string | null,
  log: (line: string) => void,
): Promise<{ readonly outcomes: string; readonly tunings: string } | null> {
  if (folder === null) return null;
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    log(`what is measured of this machine is not stored: ${(error as Error).message}`);
    return null;
  }
  return { outcomes: join(folder, 'self-tests.json'), tunings: join(folder, 'tunings.json') };
}
