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
/** `twice`: tiles computed more than once, as a share of all: after a kill, the unfinished band and tiles in flight. */
const LIMITS = { lost: 0, different: 0, twice: 0.15 };

/**
 * Kills the worker and the server alternately with SIGKILL, each at a random moment of a job. Every job must
 * succeed with the same bytes as an uninterrupted one, and little work may be repeated.
 */
export const bench: Bench = async (log) => {
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
    await server.ended((await server.submit(input, QUERY)).id); // warm-up: loads the model
    const started = performance.now();
    const whole = await server.ended((await server.submit(input, QUERY)).id);
    const typicalMs = performance.now() - started;
    const expected = await digest(whole.id);
    const { tiles } = whole.plan;
    let [lost, different, computed] = [0, 0, 0];
    for (let i = 0; i < KILLS; i++) {
      const { id } = await server.submit(input, QUERY);
      await pause(Math.random() * typicalMs);
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
      // Where the job had ended before the kill, all of its tiles are counted already.
      const after = job.progress!;
      if ((before?.tilesDone ?? 0) < tiles) computed += after.tilesDone - after.tilesReplayed;
      log(
        `${i + 1}: ${victim} killed at ${before?.tilesDone ?? 0} of ${tiles} tiles, ${after.tilesReplayed} resumed from the journal, ${job.state}`,
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
