import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { JobView } from '../server/contract/schemas/job.js';

const BIN = fileURLToPath(new URL('../server/bin.js', import.meta.url));

/** What the device has done since the server started. */
export interface BenchMetrics {
  readonly batches: number;
  /** Time of the device, by the share of the threads that were busy. */
  readonly busySeconds: number;
  /** Tiles, and the time of their batches: that of a batch counts once for each of its tiles. */
  readonly tiles: number;
  readonly inferSeconds: number;
}

/** The server as users run it: `unseam serve` in a child process, which has its own worker process. */
export class BenchServer {
  private constructor(
    readonly child: ChildProcess,
    readonly url: string,
    readonly data: string,
  ) {}

  /** Starts a server that reuses no results: only a benchmark of its caches passes `[]` for `caches`. */
  static async start(
    data: string,
    args: readonly string[] = [],
    env: Readonly<Record<string, string>> = {},
    caches: readonly string[] = ['--no-cache'],
  ): Promise<BenchServer> {
    const child = spawn(process.execPath, [BIN, 'serve', '--port', '0', '--data', data, ...caches, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    });
    const url = await new Promise<string>((resolve, reject) => {
      let log = '';
      const findUrl = (chunk: Buffer) => {
        const found = /"url":"([^"]+)"/.exec((log += chunk))?.[1];
        if (found === undefined) return;
        child.stdout!.off('data', findUrl).resume();
        resolve(found);
      };
      child.stdout!.on('data', findUrl);
      child.once('exit', (code) => reject(new Error(`the server exited with code ${code}: ${log}`)));
    });
    return new BenchServer(child, url, data);
  }

  /** Uploads a file as a job; streams it, so that its size does not matter. */
  async submit(file: string, query: string): Promise<JobView> {
    const { size } = await stat(file);
    const body = Readable.toWeb(createReadStream(file, { highWaterMark: 1 << 20 })) as ReadableStream;
    const response = await fetch(`${this.url}/v1/jobs?${query}`, {
      method: 'POST',
      body,
      duplex: 'half',
      headers: { 'content-length': String(size) },
    } as RequestInit);
    if (response.status !== 202) throw new Error(`${response.status}: ${await response.text()}`);
    return (await response.json()) as JobView;
  }

  /** The job as it is now. */
  async job(id: string): Promise<JobView> {
    return (await (await fetch(`${this.url}/v1/jobs/${id}`)).json()) as JobView;
  }

  /** Polls a job until it is neither queued nor running. */
  async ended(id: string, pollMs = 50): Promise<JobView> {
    for (;;) {
      const job = await this.job(id);
      if (job.state !== 'queued' && job.state !== 'running') return job;
      await pause(pollMs);
    }
  }

  /** The device's counters since the server started. */
  async metrics(): Promise<BenchMetrics> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const value = (name: string, labels = '\\S*') =>
      Number(new RegExp(`^${name}${labels} (\\S+)`, 'm').exec(text)?.[1] ?? 0);
    const infer = '{stage="infer"}';
    return {
      batches: value('unseam_batch_size_count'),
      busySeconds: value('unseam_engine_busy_seconds_total'),
      tiles: value('unseam_stage_duration_seconds_count', infer),
      inferSeconds: value('unseam_stage_duration_seconds_sum', infer),
    };
  }

  /** The worker's process id, once it has started. */
  async worker(): Promise<number> {
    for (;;) {
      const [worker] = await childrenOf(this.child.pid!);
      if (worker !== undefined) return worker;
      await pause(20);
    }
  }

  /** Ends the server with SIGKILL, as a crash would. */
  async kill(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGKILL');
    await exited;
  }

  /** Ends the server with SIGTERM and waits for its exit. */
  async stop(): Promise<void> {
    const exited = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await exited;
  }
}

/** Waits for some ms: for benchmarks only, tests wait for events. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Resident memory of a process and its direct children, in bytes. */
export async function residentBytes(pid: number): Promise<number> {
  let sum = 0;
  for (const each of [pid, ...(await childrenOf(pid))]) sum += await ownResidentBytes(each);
  return sum;
}

/** Memory of a process and its direct children, in bytes: a page that n processes share counts as an nth of it in each. */
export async function proportionalBytes(pid: number): Promise<number> {
  let sum = 0;
  for (const each of [pid, ...(await childrenOf(pid))]) {
    const rollup = await readFile(`/proc/${each}/smaps_rollup`, 'utf8').catch(() => '');
    sum += Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1] ?? 0) * 1024;
  }
  return sum;
}

/** Resident memory of one process, in bytes; 0 if it has exited. */
export async function ownResidentBytes(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
}

/** Ticks of the kernel's clock in `/proc`: 100 a second on every Linux. */
const TICK_MS = 10;

/** Processor time of a process and its direct children, in ms. */
export async function processorMs(pid: number): Promise<number> {
  let ms = 0;
  for (const each of [pid, ...(await childrenOf(pid))]) {
    const stat = await readFile(`/proc/${each}/stat`, 'utf8').catch(() => '');
    const [user = 0, system = 0] = stat.slice(stat.lastIndexOf(')')).split(' ').slice(12, 14).map(Number);
    ms += (user + system) * TICK_MS;
  }
  return ms;
}

/** The ids of a process's direct children; none if it has exited. */
export async function childrenOf(pid: number): Promise<number[]> {
  const tasks = await readdir(`/proc/${pid}/task`).catch(() => []);
  const lists = await Promise.all(
    tasks.map((task) => readFile(`/proc/${pid}/task/${task}/children`, 'utf8').catch(() => '')),
  );
  return lists.join(' ').split(' ').filter(Boolean).map(Number);
}
