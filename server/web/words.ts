import type { Job } from './api.js';

/** What a job is called. */
export function nameOf({ source, id }: Job): string {
  const name = source.name ?? source.path ?? source.url ?? id;
  return name.replace(/^.*[/\\]/, '');
}

/** Seconds in words: `45 s`, `12 min`, `3 h 20 min`. */
export function duration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 100 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const size = ({ image }: Job): string =>
  `${image.width.toLocaleString('en')} × ${image.height.toLocaleString('en')} px`;

/** Whether nothing more happens to a job. */
export const hasEnded = ({ state }: Job): boolean => !['queued', 'running', 'paused'].includes(state);

/** How a job stands, in one line. */
export function stateOf(job: Job): string {
  const { state, progress, pixelsPerSecond, secondsLeft, restarts } = job;
  if (job.pause) {
    const when = new Date(job.pause.since).toLocaleTimeString();
    return `paused since ${when}: ${job.pause.detail}. It goes on by itself when this has passed`;
  }
  if (job.retry) {
    return `queued: next try at ${new Date(job.retry.at).toLocaleTimeString()}, because ${job.retry.detail}`;
  }
  if (state !== 'running') return state;
  if (!progress || progress.tiles === 0) return 'running';
  const share = `${Math.floor((100 * progress.pixelsDone) / progress.pixels)} %`;
  const tiles = `${progress.tilesDone.toLocaleString('en')} of ${progress.tiles.toLocaleString('en')} tiles`;
  const speed = pixelsPerSecond === null ? '' : `, ${(pixelsPerSecond / 1e6).toFixed(1)} Mpx/s`;
  const left = secondsLeft === null ? '' : `, ${duration(secondsLeft)} left`;
  const again = restarts > 0 ? `, resumed ${restarts}×` : '';
  return `${share}: ${tiles}${speed}${left}${again}`;
}

/** An area in the unit that suits it. */
export function area(um2: number): string {
  return um2 >= 1e6 ? `${(um2 / 1e6).toFixed(2)} mm²` : `${um2.toFixed(0)} µm²`;
}
