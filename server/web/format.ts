import type { Job } from '../../client/index.js';

/** The name of a job's image, without folders. */
export function nameOf({ source, id }: Job): string {
  const name = source.kind === 'upload' ? source.name : source.kind === 'path' ? source.path : source.url;
  return (name ?? id).replace(/^.*[/\\]/, '');
}

/** Formats seconds: `45 s`, `12 min`, `3 h 20 min`. */
export function duration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** The size of a job's image: `2,000 × 1,500 px`, of a stack with `in 35 planes`. */
export function size({ image: { width, height, stack } }: Job): string {
  const planes = stack ? ` in ${(stack.sizeZ * stack.sizeT).toLocaleString('en')} planes` : '';
  return `${width.toLocaleString('en')} × ${height.toLocaleString('en')} px${planes}`;
}

/** The state of a job in one line. */
export function stateOf(job: Job): string {
  const { state, progress, pixelsPerSecond, secondsLeft, restarts } = job;
  if (job.pause) {
    const when = new Date(job.pause.since).toLocaleTimeString();
    return `paused since ${when}: ${job.pause.detail}. It resumes when the cause is gone`;
  }
  if (job.retry) {
    return `queued: retry at ${new Date(job.retry.at).toLocaleTimeString()} after: ${job.retry.detail}`;
  }
  if (state !== 'running') return state;
  if (!progress || progress.tiles === 0) return 'running';
  const share = `${Math.floor((100 * progress.pixelsDone) / progress.pixels)} %`;
  const tiles = `${progress.tilesDone.toLocaleString('en')} of ${progress.tiles.toLocaleString('en')} tiles`;
  const planes =
    progress.planes > 1
      ? `, ${progress.planesDone.toLocaleString('en')} of ${progress.planes.toLocaleString('en')} planes`
      : '';
  const speed = pixelsPerSecond === null ? '' : `, ${(pixelsPerSecond / 1e6).toFixed(1)} Mpx/s`;
  const remaining = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`;
  const resumed = restarts > 0 ? `, resumed ${restarts}×` : '';
  return `${share}: ${tiles}${planes}${speed}${remaining}${resumed}`;
}

/** Formats an area in µm², or in mm² where it is large. */
export function area(um2: number): string {
  return um2 >= 1e6 ? `${(um2 / 1e6).toFixed(2)} mm²` : `${um2.toFixed(0)} µm²`;
}
