import { link, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { ProcessIdentity } from './process-identity.js';

/** `server-GENERATION.lock`; only the highest generation counts. */
const NAME = /^server-(\d{1,15})\.lock$/;
/** What version 0.1 wrote: the lock of a process of this machine, without a lease. */
const LEGACY_NAME = 'server.lock';
/** More than any holder takes: every lock file has this size. */
const LOCK_BYTES = 1024;

const holderSchema = z.object({
  /** Different for every server. */
  token: z.string(),
  boot: z.string().nullable(),
  namespace: z.string().nullable(),
  host: z.string(),
  pid: z.int(),
  started: z.string().nullable(),
  /** Grows with each renewal. Whoever waits for the lease to expire watches it, so no clocks are compared. */
  renewals: z.int(),
  released: z.boolean(),
});
const legacySchema = z.object({ pid: z.int(), started: z.string().nullable() });

/** The server that holds a lock, and its lease. */
export type Holder = z.output<typeof holderSchema>;

export interface LockState {
  /** Of the newest lock file; 0 when there is none. */
  readonly generation: number;
  /** Null when the lock is free: its file is torn, missing or released. */
  readonly holder: Holder | null;
  /** Differs after each renewal, and for each holder. */
  readonly lease: string;
}

/** @param self a process of this machine: what the holder of a legacy lock was, too */
export async function readLock(folder: string, self: ProcessIdentity): Promise<LockState> {
  const generation = await newestGeneration(folder);
  const holder = generation === 0 ? await readLegacy(folder, self) : await readHolder(folder, generation);
  return { generation, holder, lease: `${generation} ${JSON.stringify(holder)}` };
}

/** The holder of a generation; null for a file that is torn, missing or released. */
export async function readHolder(folder: string, generation: number): Promise<Holder | null> {
  const text = await readFile(pathOf(folder, generation), 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null; // removed just now, by the holder of the next generation
    throw error;
  });
  const parsed = holderSchema.safeParse(parseJson(text));
  return parsed.success && !parsed.data.released ? parsed.data : null;
}

async function readLegacy(
  folder: string,
  { boot, namespace, host }: ProcessIdentity,
): Promise<Holder | null> {
  const text = await readFile(join(folder, LEGACY_NAME), 'utf8').catch(() => null);
  const legacy = legacySchema.safeParse(parseJson(text));
  if (!legacy.success) return null;
  const { pid, started } = legacy.data;
  return { token: LEGACY_NAME, boot, namespace, host, pid, started, renewals: 0, released: false };
}

/**
 * Creates the lock file of a generation, whole: of two servers that create the same one, exactly one does.
 * @returns whether this call created it
 */
export async function createLock(folder: string, generation: number, holder: Holder): Promise<boolean> {
  const draft = draftOf(folder, holder);
  await writeFile(draft, format(holder));
  try {
    await link(draft, pathOf(folder, generation));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** Replaces the content of a lock file. */
export async function rewriteLock(folder: string, generation: number, holder: Holder): Promise<void> {
  const path = pathOf(folder, generation);
  const draft = draftOf(folder, holder);
  try {
    await writeFile(draft, format(holder));
    await rename(draft, path);
  } catch {
    // A full disk still has room for a file of the same size: leases are renewed and released all the same.
    await rm(draft, { force: true });
    const file = await open(path, 'r+');
    await file.write(format(holder), 0).finally(() => file.close());
  }
}

/** Removes the lock file of a generation, if it exists. */
export async function removeLock(folder: string, generation: number): Promise<void> {
  await rm(pathOf(folder, generation), { force: true });
}

/** Removes the lock files of all earlier generations, and that of version 0.1. */
export async function removeLocksBefore(folder: string, generation: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const number = Number(NAME.exec(name)?.[1] ?? Number.NaN);
    if (number < generation || name === LEGACY_NAME) await rm(join(folder, name), { force: true });
  }
}

/** The generation of the newest lock file; 0 when there is none. */
export async function newestGeneration(folder: string): Promise<number> {
  const numbers = (await readdir(folder)).map((name) => Number(NAME.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}

const pathOf = (folder: string, generation: number): string => join(folder, `server-${generation}.lock`);

const draftOf = (folder: string, { token }: Holder): string => join(folder, `server-${token}.new`);

/** Padded to one size, so that it can be overwritten in place. */
const format = (holder: Holder): string => JSON.stringify(holder).padEnd(LOCK_BYTES);

function parseJson(text: string | null): unknown {
  try {
    return text === null ? null : JSON.parse(text);
  } catch {
    return null;
  }
}
