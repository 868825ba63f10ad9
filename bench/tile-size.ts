import { fileURLToPath } from 'node:url';
import { Engine } from '../model/engine.js';
import { type Bench, medians } from './bench.js';

/** About the sides, in px of output, that `auto` could aim at. */
const OUTPUTS = [128, 256, 384, 512, 640, 768, 1024, 1536];
/** What `AUTO_OUTPUT_PX` is held to: the share of the best speed that its tile reaches. */
const LIMITS = { autoShareOfBest: 0.85 };
const AUTO = 640;

/** Output pixels a second by tile size: what `AUTO_OUTPUT_PX` in tiling/plan.ts was chosen by. */
export const bench: Bench = async (say) => {
  const engine = Engine.start({ provider: 'cpu', threads: 2 });
  const model = await engine.load(fileURLToPath(new URL('../../models/em-membrane/1', import.meta.url)));
  const { halo, multiple, smallest } = model.geometry;
  const things: Record<string, () => Promise<unknown>> = {};
  const outs: Record<string, number> = {};
  for (const wanted of OUTPUTS) {
    const side = smallest + Math.ceil((wanted + halo.left + halo.right - smallest) / multiple) * multiple;
    outs[wanted] = Math.floor((side - halo.left - halo.right) / multiple) * multiple;
    things[wanted] = () => {
      const data = new Uint8Array(side * side).fill(90);
      return engine.predict(model.id, { data, count: 1, height: side, width: side, channels: 1 }, 'labels');
    };
  }
  const times = await medians(5, things);
  await engine.close();
  const speeds = OUTPUTS.map((wanted) => Number((outs[wanted]! ** 2 / times[wanted]! / 1000).toFixed(3)));
  const megapixelsPerSecond = Object.fromEntries(OUTPUTS.map((wanted, i) => [wanted, speeds[i]]));
  const autoShareOfBest = Number((speeds[OUTPUTS.indexOf(AUTO)]! / Math.max(...speeds)).toFixed(3));
  say(JSON.stringify(megapixelsPerSecond));
  return {
    megapixelsPerSecond,
    autoShareOfBest,
    limits: LIMITS,
    holds: autoShareOfBest >= LIMITS.autoShareOfBest,
  };
};
