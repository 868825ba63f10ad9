/** What the page knows of a job: the part of the server's answer that it shows. */
export interface Job {
  readonly id: string;
  readonly state: 'queued' | 'running' | 'paused' | 'succeeded' | 'failed' | 'cancelled';
  readonly priority: string;
  readonly source: {
    readonly kind: string;
    readonly name?: string | null;
    readonly path?: string;
    readonly url?: string;
  };
  readonly model: string;
  readonly image: {
    readonly width: number;
    readonly height: number;
    readonly mpp: { readonly x: number } | null;
  };
  readonly plan: { readonly tiles: number };
  readonly createdAt: string;
  readonly progress: Progress | null;
  readonly pixelsPerSecond: number | null;
  readonly secondsLeft: number | null;
  readonly restarts: number;
  readonly error: { readonly code: string; readonly detail: string } | null;
  readonly pause: { readonly code: string; readonly detail: string; readonly since: string } | null;
  readonly retry: { readonly code: string; readonly detail: string; readonly at: string } | null;
  readonly receipt: Receipt | null;
}

export interface Progress {
  readonly tiles: number;
  readonly tilesDone: number;
  readonly pixels: number;
  readonly pixelsDone: number;
}

export interface Receipt {
  readonly areas:
    | readonly { readonly name: string; readonly pixels: number; readonly um2: number | null }[]
    | null;
  readonly outputs: readonly { readonly kind: string; readonly format: string }[];
  readonly warnings: readonly string[];
}

/** A model that cannot be used, and why. */
export interface UnreadableModel {
  readonly name: string;
  readonly version: number;
  readonly reason: string;
}

export interface ModelCard {
  readonly name: string;
  readonly version: number;
  readonly description: string;
  readonly classes: readonly { readonly name: string; readonly colour: string | null }[];
  readonly inputChannels: number;
  readonly micronsPerPixel: number | null;
  readonly architecture: { readonly parameters: number; readonly halo: { readonly top: number } };
  readonly scores: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly data: { readonly description: string; readonly terms: string };
  /** Address of the curves of its training; null where it came without. */
  readonly curves: string | null;
}

/** An answer of the server's that says what was wrong. */
export class Refused extends Error {}

/** Asks the server. @throws Refused with the problem's own words */
export async function ask<Answer>(path: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(path, init);
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as Answer;
  const problem = (await response.json().catch(() => null)) as { title?: string; detail?: string } | null;
  throw new Refused(problem?.detail ?? problem?.title ?? `the server answered ${response.status}`);
}

/** Gives up an upload. */
export async function discard(address: string): Promise<void> {
  await fetch(address, { method: 'DELETE', headers: TUS }).catch(() => undefined);
}

/** Bytes of a file that are sent at a time: what a broken connection can cost. */
const CHUNK_BYTES = 8 << 20;
/** Waits between tries, in ms, of a connection that breaks; then it is given up. */
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const TUS = { 'Tus-Resumable': '1.0.0' };

/**
 * Sends a file by the tus protocol: where the connection breaks, it goes on from what the server has.
 * @returns the upload's address
 */
export async function upload(
  file: File,
  signal: AbortSignal,
  told: (share: number) => void,
): Promise<string> {
  const metadata = `filename ${btoa(String.fromCharCode(...new TextEncoder().encode(file.name)))}`;
  const headers = { ...TUS, 'Upload-Length': String(file.size), 'Upload-Metadata': metadata };
  const created = await fetch('/v1/uploads', { method: 'POST', headers, signal });
  const address = created.headers.get('Location');
  if (!created.ok || address === null) throw new Refused((await created.text()).trim());
  let offset = 0;
  let tries = 0;
  while (offset < file.size) {
    try {
      const response = await fetch(address, {
        method: 'PATCH',
        headers: {
          ...TUS,
          'Upload-Offset': String(offset),
          'Content-Type': 'application/offset+octet-stream',
        },
        body: file.slice(offset, offset + CHUNK_BYTES),
        signal,
      });
      if (response.status >= 400 && response.status < 500 && response.status !== 409) {
        throw new Refused((await response.text()).trim());
      }
      if (response.status === 507) throw new Refused("the server's disk is full");
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      offset = Number(response.headers.get('Upload-Offset'));
      tries = 0;
    } catch (error) {
      if (signal.aborted || error instanceof Refused || tries >= RETRY_MS.length) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS[tries++]));
      const state = await fetch(address, { method: 'HEAD', headers: TUS, signal }).catch(() => null);
      if (state?.ok) offset = Number(state.headers.get('Upload-Offset'));
    }
    told(offset / file.size);
  }
  return address;
}
