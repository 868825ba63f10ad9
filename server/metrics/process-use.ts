import { readFile } from 'node:fs/promises';
import { type EventLoopUtilization, performance } from 'node:perf_hooks';

/** What a process takes of the machine. */
export interface ProcessUse {
  readonly residentBytes: number;
  /** Processor time of its threads since it started. */
  readonly cpuSeconds: number;
  /** Part of the time since the last measurement in which its JavaScript thread was busy; null where it is not known. */
  readonly eventLoop: number | null;
}

/** Measures the calling process. */
export class OwnUse {
  #loop: EventLoopUtilization = performance.eventLoopUtilization();

  measure(): ProcessUse {
    const loop = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(loop, this.#loop);
    this.#loop = loop;
    const { user, system } = process.cpuUsage();
    const residentBytes = process.memoryUsage.rss();
    return { residentBytes, cpuSeconds: (user + system) / 1e6, eventLoop: utilization };
  }
}

/** Length of the ticks that Linux states processor times in, in seconds (USER_HZ, which no system changes). */
const TICK_SECONDS = 0.01;

/** What another process takes; null where it is gone, or the system has no /proc. */
export async function useOf(pid: number): Promise<ProcessUse | null> {
  const [stat, status] = await Promise.all(
    ['stat', 'status'].map((name) => readFile(`/proc/${pid}/${name}`, 'utf8').catch(() => null)),
  );
  const resident = /^VmRSS:\s*(\d+) kB$/m.exec(status ?? '')?.[1];
  if (!stat || resident === undefined) return null; // gone, or a zombie, which has no memory
  // The name may hold anything, and ends with the last bracket. After it, fields 14 and 15 (proc_pid_stat(5)) are the times.
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  const cpuSeconds = (Number(user) + Number(system)) * TICK_SECONDS;
  return { residentBytes: 1024 * Number(resident), cpuSeconds, eventLoop: null };
}

/** The processes that the main thread of another one has started; none where the system has no /proc. */
export async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '');
  return text.split(' ').filter(Boolean).map(Number);
}
