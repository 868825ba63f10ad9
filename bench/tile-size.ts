import { fileURLToPath } from 'node:url';
import { Engine } from '../model/engine.js';
import { type Bench, medians } from './bench.js';

/** Candidate output sides in px; each is rounded to what the model accepts. */
const OUTPUTS = [128, 256, 384, 512, 640, 768, 1024, 1536];
/** The speed of `auto`'s tile as a share of the fastest one's. */
const LIMITS = { autoShareOfBest: 0.85 };
/** `AUTO_OUTPUT_PX` of tiling/plan.ts. */
const AUTO = 640;

/**
 * Measures the throughput of one model by tile size, in output pixels per second. `AUTO_OUTPUT_PX` in
 * tiling/plan.ts was chosen from these figures.
 */
export const bench: Bench = async (log) => {
  const engine = Engine.start({ provider: 'cpu', threads: 2 });
  const model = await engine.load(fileURLToPath(new URL('../../models/em-membrane/1', import.meta.url)));
  const { halo, multiple, smallest } = model.geometry;
  const tasks: Record<string, () => Promise<unknown>> = {};
  const outs: Record<string, number> = {};
  for (const wanted of OUTPUTS) {
    const side = smallest + Math.ceil((wanted + halo.left + halo.right - smallest) / multiple) * multiple;
    outs[wanted] = Math.floor((side - halo.left - halo.right) / multiple) * multiple;
    tasks[wanted] = () => {
      const data = new Uint8Array(side * side).fill(90);
      return engine.predict(model.id, { data, count: 1, height: side, width: side, channels: 1 }, 'labels');
    };
  }
  const times = await medians(5, tasks);
  await engine.close();
  const speeds = OUTPUTS.map((wanted) => Number((outs[wanted]! ** 2 / times[wanted]! / 1000).toFixed(3)));
  const megapixelsPerSecond = Object.fromEntries(OUTPUTS.map((wanted, i) => [wanted, speeds[i]]));
  const autoShareOfBest = Number((speeds[OUTPUTS.indexOf(AUTO)]! / Math.max(...speeds)).toFixed(3));
  log(JSON.stringify(megapixelsPerSecond));
  return {
    megapixelsPerSecond,
    autoShareOfBest,
    limits: LIMITS,
    holds: autoShareOfBest >= LIMITS.autoShareOfBest,
  };
};
