import { RequestError } from '../contract/errors.js';
import type { JobSpec } from '../contract/job-spec.js';
import { outcomeOf } from '../contract/outcome.js';
import { codeOf, detailOf } from '../contract/problems.js';
import { Segmenter } from '../pipeline/segmenter.js';
import type { CallName, FromWorker, ToWorker, WorkerCalls } from './messages.js';
import { type ImageLimits, withLimits } from './read-limit.js';

/** The process that owns a device and runs the pipeline; started and fed by `WorkerClient`. */

/** A server that has just gone hears nothing; its worker ends, too. */
const send = (message: FromWorker): void => {
  process.send?.(message, undefined, undefined, () => undefined);
};
const running = new Map<string, AbortController>();
let segmenter: Segmenter | null = null;

const calls: WorkerCalls = {
  plan: (spec, header) => segmenter!.plan(spec, header),
  estimate: (spec, header) => segmenter!.estimate(spec, header),
  preview: (id) => segmenter!.preview(id),
};

/** Without its engine this process is of no use: the server starts another, and what was in it goes on there. */
function leaveIfLost(code: string): void {
  if (code === 'engine-lost') process.exit(1);
}

async function run(job: JobSpec, limits: ImageLimits): Promise<void> {
  const controller = new AbortController();
  running.set(job.id, controller);
  try {
    const receipt = await segmenter!.run({
      ...job,
      signal: controller.signal,
      watch: (opening) => withLimits(opening, limits, (why) => send({ type: 'stuck', id: job.id, why })),
      onStage: (stage, durationMs) => send({ type: 'stage', id: job.id, stage, durationMs }),
      onProgress: (progress) => send({ type: 'progress', id: job.id, progress }),
    });
    send({ type: 'done', id: job.id, receipt });
  } catch (error) {
    const code = codeOf(error);
    if (code === 'internal') console.error(error); // what was not foreseen is in the log, whole
    leaveIfLost(code);
    send({ type: 'failed', id: job.id, code, message: detailOf(error) });
  } finally {
    running.delete(job.id);
  }
}

async function answer(call: number, name: CallName, args: unknown[]): Promise<void> {
  const work = calls[name] as (...args: unknown[]) => Promise<unknown>;
  const outcome = await outcomeOf(() => work(...args));
  if (outcome.type === 'refused') leaveIfLost(outcome.code);
  send({ call, ...outcome });
}

process.on('message', (message: ToWorker) => {
  switch (message.type) {
    case 'start':
      segmenter = new Segmenter({
        ...message.options,
        onBatch: (tiles, ranMs) => send({ type: 'batch', tiles, ranMs, waiting: segmenter!.depth }),
      });
      send({ type: 'ready', device: segmenter.device });
      setInterval(() => send({ type: 'beat', batch: segmenter!.batch }), message.beatMs).unref();
      break;
    case 'run':
      void run(message.job, message.limits);
      break;
    case 'cancel':
      running.get(message.id)?.abort(new RequestError('cancelled', 'the job was cancelled'));
      break;
    case 'call':
      void answer(message.call, message.name, message.args);
      break;
    case 'stop':
      void Promise.resolve(segmenter?.close()).then(() => process.disconnect());
      break;
  }
});

// Ctrl-C reaches the whole group; the server decides when its worker stops.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
// A server that is gone needs no worker.
// An orderly exit would wait for, or trip over, what the device is doing.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
