import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench } from './bench.js';
import { type Contender, figuresOf, verdictOf } from './rivals/figures.js';
import { HungProcessError, type Run, runProcess, watchMemory } from './rivals/process.js';
import { type Configuration, RIVALS, THREADS } from './rivals/roster.js';
import { Scripts } from './rivals/scripts.js';
import { BenchServer } from './server.js';
import { writeSlide } from './slide.js';

const MODEL = 'em-membrane';
const MODEL_FOLDER = fileURLToPath(new URL(`../../models/${MODEL}/1`, import.meta.url));
const UNSEAM = fileURLToPath(new URL('../server/bin.js', import.meta.url));

const SIDE_PX = 6000;
/** Side of the part of the slide on which the configurations of a rival are compared. */
const PART_PX = 2400;
const ROUNDS = 3;
/** What takes more than this many times unseam's time is measured once. */
const SLOW = 3;

/**
 * Compares unseam with what else makes a mask of a slide on a CPU, end to end: whole processes that read the same
 * textured slide and write a tiled, deflated mask by the same network, in turn. Unseam's mask also has a pyramid, the
 * rivals' do not. Each rival runs in the configuration that is its fastest on a part of the slide. Rivals whose
 * packages are missing are skipped: `bench/rivals/requirements.txt` has them.
 */
export const bench: Bench = async (log) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  try {
    const [slide, part] = [join(dir, 'slide.tif'), join(dir, 'part.tif')];
    await writeSlide(slide, 'membranes', { width: SIDE_PX, height: SIDE_PX });
    await writeSlide(part, 'membranes', { width: PART_PX, height: PART_PX });
    const scripts = new Scripts(dir, MODEL_FOLDER);
    const missing = await scripts.prepare();
    const contenders: Record<string, Contender> = {};
    const add = (name: string, run: Contender['run'], configuration: Configuration | null = null) => {
      contenders[name] = { run, configuration, runs: [] };
    };
    add('unseam', (mask) => segment(dir, slide, MODEL, mask));
    add('unseam serve', (mask) => serve(dir, part, slide, mask));
    add('unseam int8', (mask) => segment(dir, slide, `${MODEL}/1-int8`, mask));
    const firstSeconds: Record<string, number> = {};
    for (const [name, { run }] of Object.entries(contenders)) {
      firstSeconds[name] = Number((await run(maskOf(dir, name))).seconds.toFixed(2));
    }
    log(`the first time, with tests and measurements that are stored: ${JSON.stringify(firstSeconds)}`);
    const skipped: Record<string, string> = {};
    for (const [name, rival] of Object.entries(RIVALS)) {
      const reason = missing(rival);
      const configuration = reason === null ? await scripts.fastest(rival, part, log) : reason;
      if (typeof configuration === 'string') skipped[name] = configuration;
      else add(name, (mask) => scripts.run(rival, configuration, slide, mask), configuration);
      log(`${name}: ${JSON.stringify(configuration)}`);
    }
    await measure(contenders, dir, log);
    const figures = await figuresOf(contenders, (name) => maskOf(dir, name));
    const sides = { sidePx: SIDE_PX, slideMb: Math.round((await stat(slide)).size / 1e6) };
    return {
      model: MODEL,
      threads: THREADS,
      ...sides,
      firstSeconds,
      figures,
      skipped,
      ...verdictOf(figures),
    };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};

const maskOf = (dir: string, name: string): string => join(dir, `${name.replaceAll(' ', '-')}-mask.tif`);

/** Runs all contenders in turn, round by round; those that are slow once. One that hangs is run again, once. */
async function measure(
  contenders: Readonly<Record<string, Contender>>,
  dir: string,
  log: (line: string) => void,
): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, { run, runs }] of Object.entries(contenders)) {
      if (round > 0 && runs[0]!.seconds > SLOW * contenders.unseam!.runs[0]!.seconds) continue;
      const done = await run(maskOf(dir, name)).catch((error: unknown) => {
        if (!(error instanceof HungProcessError)) throw error;
        log(`${name}: ${error.message}`);
        return run(maskOf(dir, name));
      });
      runs.push(done);
      log(`${name}: ${done.seconds.toFixed(2)} s, ${done.peakMb} MB`);
    }
  }
}

/** `unseam segment`; what it measures of the machine is stored in `dir`. */
function segment(dir: string, image: string, model: string, mask: string): Promise<Run> {
  const flags = ['-m', model, '--no-cache', '--cache-dir', join(dir, 'cache')];
  return runProcess(process.execPath, [UNSEAM, 'segment', image, '-o', mask, ...flags]);
}

/** Time from the first byte of a POST to the last of the mask, by a server that has answered a request before. */
async function serve(dir: string, part: string, slide: string, mask: string): Promise<Run> {
  const data = join(dir, 'data');
  const server = await BenchServer.start(data);
  const memory = watchMemory(server.child.pid!);
  const post = async (image: string): Promise<ArrayBuffer> => {
    const { id } = await server.submit(image, `model=${MODEL}`);
    const { state, error } = await server.ended(id, 20);
    if (state !== 'succeeded') throw new Error(`the job ${state}: ${error?.detail}`);
    return (await fetch(`${server.url}/v1/jobs/${id}/result`)).arrayBuffer();
  };
  try {
    await post(part);
    const started = performance.now();
    await writeFile(mask, new Uint8Array(await post(slide)));
    const seconds = (performance.now() - started) / 1000;
    return { seconds, peakMb: memory.peakMb(), stdout: '' };
  } finally {
    memory.stop();
    await server.stop();
  }
}
