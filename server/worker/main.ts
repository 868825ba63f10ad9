import { parentProcess } from '../../model/engine/channel.js';
import { serve } from '../../model/engine/rpc.js';
import type { RanBatch } from '../../model/scheduler/scheduler.js';
import { failureOf } from '../contract/failure.js';
import { OwnUse } from '../metrics/process-use.js';
import { collectLessOften } from '../pipeline/heap-growth.js';
import { ModelHost } from '../pipeline/model-host.js';
import { Segmenter } from '../pipeline/segmenter.js';
import { chosenSpeed } from '../pipeline/tuning.js';
import { Coalescer } from './coalescer.js';
import { isProfiled } from './diagnostics.js';
import { JobReporter } from './job-reporter.js';
import type { WorkerEvent, WorkerMethods } from './methods.js';
import { withLimits } from './read-limit.js';

/** The process that owns a device and runs the pipeline; started and called by `WorkerProcess`. */

interface Started {
  readonly host: ModelHost;
  readonly segmenter: Segmenter;
  /** Reports the batches since the last report. */
  readonly batchReports: Coalescer;
  readonly reportDevices: () => Promise<void>;
}

let started: Started | null = null;

/** A time of `performance.now()`, which each process has its own of, in ms since 1970. */
const sinceEpoch = (ms: number): number => Date.now() - (performance.now() - ms);

const methods: WorkerMethods = {
  async start({ modelHost, ...options }, { beatMs, ...hungAfter }) {
    collectLessOften();
    let batches: RanBatch[] = [];
    const batchReports = new Coalescer(() => {
      if (batches.length === 0) return;
      server.emit({ type: 'batches', batches });
      batches = [];
    });
    const host: ModelHost = await ModelHost.open({
      ...modelHost,
      engine: { ...modelHost.engine, onDevice: () => void started?.reportDevices() },
      hungAfter,
      onChoice: ({ card }, tuning) => {
        const { tile, lanes, threads } = tuning.choice;
        const pixelsPerSecond = 1e6 * chosenSpeed(tuning);
        server.emit({ type: 'choice', choice: { model: card.name, tile, lanes, threads, pixelsPerSecond } });
      },
      onTiling: ({ card }, { output, symmetries, threshold = false }, { exact, largestDifference }) => {
        const tiling = { model: card.name, output, symmetries, threshold, exact, largestDifference };
        server.emit({ type: 'tiling', tiling });
      },
      onBatch: (batch) => {
        batches.push(batch);
        batchReports.request();
      },
      onGone: (suspects) => server.emit({ type: 'gone', suspects }),
    });
    const segmenter = new Segmenter(host, {
      ...options,
      onTileCache: (bytes) => server.emit({ type: 'tile-cache', bytes }),
    });
    const reportDevices = async () => {
      const environment = await host.environment();
      const { devices, fallback } = host;
      server.emit({ type: 'devices', devices: { environment, devices, fallback } });
    };
    await reportDevices();
    started = { host, segmenter, batchReports, reportDevices };
    const own = new OwnUse();
    setInterval(() => {
      server.emit({ type: 'beat', batches: host.batches });
      const { waiting } = host.predictor;
      server.emit({ type: 'load', load: { memory: segmenter.memory, process: own.measure(), waiting } });
    }, beatMs).unref();
  },
  async run(job, limits, { signal, emit }) {
    const reporter = new JobReporter(emit);
    const { segmenter, batchReports } = started!;
    const running = segmenter.run({
      ...job,
      signal,
      watch: (opening) => withLimits(opening, limits, (reason) => emit({ type: 'hung', reason })),
      onStage: (stage, durationMs, endedMs) => reporter.stage(stage, durationMs, sinceEpoch(endedMs)),
      onProgress: (progress) => reporter.progress(progress),
    });
    return running.finally(() => {
      reporter.flush();
      batchReports.flush();
    });
  },
  plan: (spec, header) => started!.segmenter.plan(spec, header),
  estimate: (spec, header) => started!.segmenter.estimate(spec, header),
  preview: (id) => started!.segmenter.preview(id),
  stop: async () => started?.host.close(),
};

const server = serve<WorkerMethods, WorkerEvent>(parentProcess(), methods, { failureOf });

// Ctrl-C reaches the whole group; the server decides when its worker stops.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
// Stopped, or orphaned. An orderly exit would wait for, or trip over, what the device is doing.
process.on('disconnect', () => {
  if (isProfiled()) process.exit();
  process.kill(process.pid, 'SIGKILL');
});
