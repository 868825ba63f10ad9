/** A job, as far as the page shows it. */
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
  readonly version: number | string;
  readonly reason: string;
}

export interface ModelCard {
  readonly name: string;
  readonly version: number | string;
  readonly description: string;
  readonly classes: readonly { readonly name: string; readonly colour: string | null }[];
  readonly inputChannels: number;
  readonly micronsPerPixel: number | null;
  readonly architecture: { readonly parameters: number; readonly halo: { readonly top: number } };
  readonly scores: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly data: { readonly description: string; readonly terms: string };
  /** Names of its quantised versions. */
  readonly quantised: readonly string[];
  /** URL of the curves of its training; null without. */
  readonly curves: string | null;
}

/** A request that the server refused; the message is its reason. */
export class RequestRefusedError extends Error {}

/** Sends a request of the API. @throws RequestRefusedError */
export async function request<Result>(path: string, init: RequestInit = {}): Promise<Result> {
  const response = await fetch(path, init);
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as Result;
  const problem = (await response.json().catch(() => null)) as { title?: string; detail?: string } | null;
  throw new RequestRefusedError(
    problem?.detail ?? problem?.title ?? `the server responded with ${response.status}`,
  );
}

/** Deletes an upload from the server. */
export async function deleteUpload(address: string): Promise<void> {
  await fetch(address, { method: 'DELETE', headers: TUS }).catch(() => undefined);
}

/** Bytes of a file per request: what a broken connection costs at most. */
const CHUNK_BYTES = 8 << 20;
/** Delays before the retries of a request, in ms; then the upload fails. */
const RETRY_MS = [500, 1000, 2000, 4000, 8000];
const TUS = { 'Tus-Resumable': '1.0.0' };

/**
 * Uploads a file by the tus protocol; after a broken connection it resumes at the server's offset.
 * @returns the URL path of the upload
 */
export async function upload(
  file: File,
  signal: AbortSignal,
  onProgress: (share: number) => void,
): Promise<string> {
  const metadata = `filename ${btoa(String.fromCharCode(...new TextEncoder().encode(file.name)))}`;
  const headers = { ...TUS, 'Upload-Length': String(file.size), 'Upload-Metadata': metadata };
  const created = await fetch('/v1/uploads', { method: 'POST', headers, signal });
  const address = created.headers.get('Location');
  if (!created.ok || address === null) throw new RequestRefusedError((await created.text()).trim());
  let offset = 0;
  let retries = 0;
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
        throw new RequestRefusedError((await response.text()).trim());
      }
      if (response.status === 507) throw new RequestRefusedError("the server's disk is full");
      if (!response.ok) throw new Error(`the server responded with ${response.status}`);
      offset = Number(response.headers.get('Upload-Offset'));
      retries = 0;
    } catch (error) {
      if (signal.aborted || error instanceof RequestRefusedError || retries >= RETRY_MS.length) throw error;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS[retries++]));
      const state = await fetch(address, { method: 'HEAD', headers: TUS, signal }).catch(() => null);
      if (state?.ok) offset = Number(state.headers.get('Upload-Offset'));
    }
    onProgress(offset / file.size);
  }
  return address;
}
