import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Bench } from './bench.js';
import { BenchServer, pause } from './server.js';
import { writeSlide } from './slide.js';

const KILLS = 20;
const SIZE = { width: 4000, height: 3000 };
const QUERY = 'model=shapes&tile=284';
/** Of the whole work: a band of tiles, and those in flight, at a kill. */
const LIMITS = { lost: 0, different: 0, twice: 0.15 };

/** Kills the worker and the server in turn, at random moments of a job each; every job is to end with the same bytes. */
export const bench: Bench = async (say) => {
  const dir = await mkdtemp(join(tmpdir(), 'unseam-bench-'));
  const data = join(dir, 'data');
  try {
    const input = join(dir, 'slide.tif');
    await writeSlide(input, 'shapes', SIZE);
    let server = await BenchServer.start(data);
    const digest = async (id: string) =>
      createHash('sha256')
        .update(await readFile(join(data, 'jobs', id, 'labels.tif')))
        .digest('hex');
    await server.ended((await server.submit(input, QUERY)).id); // loads the model
    const started = performance.now();
    const whole = await server.ended((await server.submit(input, QUERY)).id);
    const usualMs = performance.now() - started;
    const expected = await digest(whole.id);
    const { tiles } = whole.plan;
    let [lost, different, computed] = [0, 0, 0];
    for (let i = 0; i < KILLS; i++) {
      const { id } = await server.submit(input, QUERY);
      await pause(Math.random() * usualMs);
      const before = (await server.job(id)).progress;
      computed += (before?.tilesDone ?? 0) - (before?.tilesReplayed ?? 0);
      const victim = i % 2 === 0 ? 'worker' : 'server';
      if (victim === 'worker') process.kill(await server.worker(), 'SIGKILL');
      else {
        await server.kill();
        server = await BenchServer.start(data);
      }
      const job = await server.ended(id);
      if (job.state !== 'succeeded') lost++;
      else if ((await digest(id)) !== expected) different++;
      // A kill after the end takes nothing away: then all was computed before.
      const after = job.progress!;
      if ((before?.tilesDone ?? 0) < tiles) computed += after.tilesDone - after.tilesReplayed;
      say(
        `${i + 1}: ${victim} killed at ${before?.tilesDone ?? 0} of ${tiles} tiles, ${after.tilesReplayed} found done, ${job.state}`,
      );
      await fetch(`${server.url}/v1/jobs/${id}`, { method: 'DELETE' });
    }
    await server.stop();
    const twice = computed / (KILLS * tiles) - 1;
    const holds = lost <= LIMITS.lost && different <= LIMITS.different && twice <= LIMITS.twice;
    return { kills: KILLS, tiles, lost, different, twice: Number(twice.toFixed(4)), limits: LIMITS, holds };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
};
