import type { WorkerLimits } from './limits.js';

/** How developers look inside a worker process. */
export interface WorkerDiagnostics {
  /** Discards what it prints: libraries may name images there. Default false. */
  readonly isSilent?: boolean;
  /** Port of its inspector, on loopback; 0 picks a free one. Default none; for example 9230. */
  readonly inspectPort?: number;
  /** Absolute path of a folder for CPU profiles of the process and of its lanes. Default none. */
  readonly cpuProfileDir?: string;
}

/** The longest delay of `setTimeout`: 24 days. */
const UNLIMITED_MS = 2 ** 31 - 1;
const CPU_PROFILE_FLAG = '--cpu-prof';

/** Node's own arguments of a worker process: those of this one, and what the diagnostics need. */
export function workerExecArgv({ inspectPort, cpuProfileDir }: WorkerDiagnostics): string[] {
  const args = [...process.execArgv];
  if (inspectPort !== undefined) args.push(`--inspect=127.0.0.1:${inspectPort}`);
  if (cpuProfileDir !== undefined) args.push(CPU_PROFILE_FLAG, `--cpu-prof-dir=${cpuProfileDir}`);
  return args;
}

/** An inspected worker is never hung: it may stand at a breakpoint. */
export function limitsUnder(limits: WorkerLimits, { inspectPort }: WorkerDiagnostics): WorkerLimits {
  if (inspectPort === undefined) return limits;
  return {
    ...limits,
    hungMs: UNLIMITED_MS,
    batchMs: UNLIMITED_MS,
    openMs: UNLIMITED_MS,
    openFactor: 0,
    readMs: UNLIMITED_MS,
    callMs: UNLIMITED_MS,
  };
}

/** Whether this process writes a CPU profile when it exits; one that is killed writes none. */
export const isProfiled = (): boolean => process.execArgv.includes(CPU_PROFILE_FLAG);
