import type { Metrics } from './metrics.js';
import type { ProcessUse } from './process-use.js';

/** What the processes of a server do. */
const PROCESS_KINDS = [
  'server',
  'worker',
  'device',
  'header-reader',
  'tile-reader',
  'result-reader',
] as const;
export type ProcessKind = (typeof PROCESS_KINDS)[number];

type ProcessGauges = Pick<Metrics, 'processes' | 'processMemory' | 'processCpu' | 'eventLoop'>;

/** Adds up what the processes of each kind take. Processes come and go; what their kind has taken of the processor stays. */
export class ProcessMeter {
  /** The processor time of each process that is counted already, in seconds. */
  readonly #counted = new Map<ProcessKind, ReadonlyMap<number, number>>();

  constructor(private readonly metrics: ProcessGauges) {
    for (const kind of PROCESS_KINDS) this.update(kind, new Map());
  }

  /** @param uses of all processes of a kind that run now, by their ids */
  update(kind: ProcessKind, uses: ReadonlyMap<number, ProcessUse>): void {
    const { processes, processMemory, processCpu, eventLoop } = this.metrics;
    const before = this.#counted.get(kind);
    let residentBytes = 0;
    let moreSeconds = 0;
    for (const [pid, use] of uses) {
      residentBytes += use.residentBytes;
      const counted = before?.get(pid) ?? 0;
      moreSeconds += use.cpuSeconds < counted ? use.cpuSeconds : use.cpuSeconds - counted; // less: another one has its id
    }
    this.#counted.set(kind, new Map([...uses].map(([pid, { cpuSeconds }]) => [pid, cpuSeconds])));
    const labels = { process: kind };
    processes.set(labels, uses.size);
    processMemory.set(labels, residentBytes);
    processCpu.inc(labels, moreSeconds);
    const busiest = [...uses.values()].flatMap((use) => use.eventLoop ?? []);
    if (busiest.length > 0) eventLoop.set(labels, Math.max(...busiest));
    else eventLoop.remove(labels);
  }
}
