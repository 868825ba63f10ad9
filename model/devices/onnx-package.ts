import { open, readdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** The library's own file, as Linux, macOS and Windows name it; those of its providers have longer names. */
const LIBRARY = /^(lib)?onnxruntime(\.so|\.dll$|[.\d]*\.dylib$)/;

/** The folder of the npm package's libraries for this platform. */
export function onnxRuntimeFolder(): string {
  const packageJson = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  return join(dirname(packageJson), 'bin', 'napi-v6', process.platform, process.arch);
}

/** The commit that the ONNX Runtime library of a folder is compiled of; null where it states none. Providers state none. */
export async function onnxRuntimeCommit(folder: string): Promise<string | null> {
  const name = (await readdir(folder)).find((file) => LIBRARY.test(file));
  return name === undefined ? null : findText(join(folder, name), /git-commit-id=([0-9a-f]{7,40})/);
}

/** The first group of the first match in a binary file, which is read piece by piece. */
async function findText(path: string, pattern: RegExp): Promise<string | null> {
  const file = await open(path, 'r');
  try {
    let last = '';
    for await (const piece of file.createReadStream({ highWaterMark: 1 << 20, autoClose: false })) {
      const text = last + (piece as Buffer).toString('latin1');
      const found = pattern.exec(text)?.[1];
      if (found !== undefined) return found;
      last = text.slice(-100); // a match may begin at the end of a piece
    }
    return null;
  } finally {
    await file.close();
  }
}
