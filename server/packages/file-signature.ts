import { open } from 'node:fs/promises';

/** The first bytes of a zip archive. */
export const ZIP = Buffer.from('PK\x03\x04', 'latin1');
/** The first bytes of an HDF5 file. */
export const HDF5 = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');

/** Whether a file begins with these bytes. */
export async function startsWith(path: string, signature: Buffer): Promise<boolean> {
  const file = await open(path);
  try {
    const start = Buffer.alloc(signature.length);
    await file.read(start, 0, start.length, 0);
    return start.equals(signature);
  } finally {
    await file.close();
  }
}
