/** A set of keys, or the description of an issuer, has a few thousand. */
const MAX_BYTES = 1 << 19;

/**
 * Gets a small document from one address. Redirections are not followed: they may lead anywhere.
 * @throws Error for any status but 200, and for one that is too large
 */
export async function fetchBounded(url: string, signal: AbortSignal): Promise<Response> {
  const response = await fetch(url, { redirect: 'error', signal, headers: { accept: 'application/json' } });
  if (response.status !== 200 || response.body === null) {
    await response.body?.cancel();
    throw new Error(`it responded with ${response.status}`);
  }
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of response.body as AsyncIterable<Uint8Array>) {
    bytes += piece.length;
    if (bytes > MAX_BYTES) throw new Error(`its response has more than ${MAX_BYTES} bytes`);
    pieces.push(piece);
  }
  return new Response(Buffer.concat(pieces));
}
