import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';

/** The running system and the PID namespace that a process is in; null where the system does not say. */
export interface ProcessPlace {
  readonly boot: string | null;
  readonly namespace: string | null;
  readonly host: string;
}

/** What `startTimeOf` has where the system does not say when processes were started: macOS and Windows have no /proc. */
const UNKNOWN_START = 'alive';

/** A process, so that no other one, here or elsewhere, has the same identity. */
export interface ProcessIdentity extends ProcessPlace {
  readonly pid: number;
  /** See `startTimeOf`. */
  readonly started: string | null;
}

/** The identity of the calling process. */
export async function thisProcess(): Promise<ProcessIdentity> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => null);
  const namespace = await readlink('/proc/self/ns/pid').catch(() => null);
  const { pid } = process;
  return { boot: boot?.trim() ?? null, namespace, host: hostname(), pid, started: await startTimeOf(pid) };
}

/** Whether two processes see each other by their PIDs. Where the system does not say, those of one host do. */
export const seeEachOther = (a: ProcessPlace, b: ProcessPlace): boolean =>
  a.boot === b.boot && a.namespace === b.namespace && (a.boot !== null || a.host === b.host);

/** Whether a process would be visible from `self`, and does not exist. */
export async function isGone(other: ProcessIdentity, self: ProcessPlace): Promise<boolean> {
  if (!seeEachOther(other, self)) return false;
  const started = await startTimeOf(other.pid);
  return started === null || (isCertain(other) && started !== other.started);
}

/** Whether a process that has this PID is this one, and not a later one that got its PID. */
export const isCertain = ({ started }: ProcessIdentity): boolean => started !== UNKNOWN_START;

/**
 * When a process was started, as a text that no later process with the same PID shares; null when there is no such
 * process. Without /proc it is `UNKNOWN_START`.
 */
async function startTimeOf(pid: number): Promise<string | null> {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return null;
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  // The name may hold anything, and ends with the last bracket. After it, field 22 (proc_pid_stat(5)) is the start.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? UNKNOWN_START;
}
