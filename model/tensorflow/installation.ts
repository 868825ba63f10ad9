import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { z } from 'zod';

/** Names of the addon's package, the one for GPUs first: both have the same files. */
const PACKAGES = ['@tensorflow/tfjs-node-gpu', '@tensorflow/tfjs-node'];
/** The packages of TensorFlow.js that the addon imports: whatever it would find there, it gets ours. */
export const SHARED_PACKAGES = ['@tensorflow/tfjs', '@tensorflow/tfjs-core'];
/** Versions of Node's ABI that the addon is built for, the newest first. */
const ABI_VERSIONS = [8, 7, 6, 5, 4, 3];

/** The addon that binds TensorFlow to JavaScript. */
export interface TensorFlowInstallation {
  /** The folder of its package. */
  readonly folder: string;
  /** Its package's name. */
  readonly name: string;
  readonly version: string;
  /** The path of the binary. */
  readonly binary: string;
  /** Of a set-up: what it has laid down. Null for an installed package. */
  readonly setUp: { readonly folder: string; readonly files: SetUp['files'] } | null;
}

/** The file of a folder that `unseam setup tensorflow` writes last. */
export const MANIFEST = 'tensorflow.json';

export const setUpSchema = z.object({
  form: z.literal(1),
  addon: z.string(),
  protobuf: z.string(),
  tensorflow: z.string(),
  /** The binary and its libraries: their paths in the folder, and their sizes. */
  files: z.array(z.object({ path: z.string(), bytes: z.int() })),
});
export type SetUp = z.output<typeof setUpSchema>;

/** The manifest of a set-up; null for a folder without one, or with a damaged one. */
export function readSetUp(folder: string): SetUp | null {
  try {
    return setUpSchema.parse(JSON.parse(readFileSync(join(folder, MANIFEST), 'utf8')));
  } catch {
    return null;
  }
}

const packageSchema = z.object({ name: z.string(), version: z.string() });

/**
 * Finds the addon: where `unseam setup tensorflow` put it, or else among the installed packages. Nothing is loaded.
 * @param folder of the set-up; null for none
 */
export function findTensorFlow(folder: string | null): TensorFlowInstallation | null {
  const own = folder === null ? null : installationIn(join(folder, 'node_modules', '@tensorflow/tfjs-node'));
  if (own) return { ...own, setUp: { folder: folder!, files: readSetUp(folder!)?.files ?? [] } };
  for (const place of installedPackages()) {
    const found = installationIn(place);
    if (found) return { ...found, setUp: null };
  }
  return null;
}

/** The addon of a package's folder; null where it is incomplete, or was never built. */
function installationIn(folder: string): Omit<TensorFlowInstallation, 'setUp'> | null {
  const path = join(folder, 'package.json');
  const binary = ABI_VERSIONS.map((abi) => join(folder, 'lib', `napi-v${abi}`, 'tfjs_binding.node')).find(
    (each) => existsSync(each),
  );
  if (binary === undefined || !existsSync(path)) return null;
  const { name, version } = packageSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  return { folder, name, version, binary };
}

function installedPackages(): string[] {
  const require = createRequire(import.meta.url);
  return PACKAGES.flatMap((name) => {
    try {
      return [dirname(require.resolve(`${name}/package.json`))];
    } catch {
      return []; // an optional peer
    }
  });
}

/** The command that sets a folder up, where it is missing or damaged. */
export const setUpCommand = (folder: string): string =>
  `unseam setup tensorflow --cache-dir ${dirname(folder)}`;
