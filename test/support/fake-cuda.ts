import { cp, mkdir, readdir, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PRELOADED, PROVIDER_LIBRARIES } from '../../model/cuda/libraries.js';
import { onnxRuntimeFolder } from '../../model/devices/onnx-package.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Shell commands that lay down the files of CUDA's wheels in `$target`, a few bytes each. */
export function layDownCuda(commit: string, without: readonly string[] = []): string {
  const library = 'onnxruntime/capi/libonnxruntime.so.1.30.0';
  const files = [...PRELOADED, ...PROVIDER_LIBRARIES, 'nvidia/cudnn/lib/libcudnn_ops.so.9'];
  const made = files.filter((file) => !without.includes(file));
  return [
    ...['nvidia_cublas-13.0.2.14', 'onnxruntime_gpu-1.30.0'].map(
      (name) => `mkdir "$target/${name}.dist-info"`,
    ),
    ...[...made, library].map((file) => `mkdir -p "$target/${dirname(file)}"`),
    ...made.map((file) => `echo fake > "$target/${file}"`),
    `echo 'ORT Build Info: git-branch=HEAD, git-commit-id=${commit}, build type=Release' > "$target/${library}"`,
  ].join('\n');
}

/**
 * Copies this installation of unseam, with an `onnxruntime-node` of its own to be linked into: its libraries are links to
 * the real ones.
 *
 * @param folder is created
 * @returns the file of the command line, and the folder of ONNX Runtime's libraries
 */
export async function copyInstallation(
  folder: string,
): Promise<{ readonly bin: string; readonly libraries: string }> {
  for (const room of ['server', 'model', 'tiling']) {
    await cp(join(ROOT, 'dist', room), join(folder, 'dist', room), { recursive: true });
  }
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'));
  const [from, to] = [join(ROOT, 'node_modules'), join(folder, 'node_modules')];
  await mkdir(to);
  const own = 'onnxruntime-node';
  for (const name of await readdir(from)) if (name !== own) await symlink(join(from, name), join(to, name));
  for (const part of ['package.json', 'dist']) {
    await cp(join(from, own, part), join(to, own, part), { recursive: true });
  }
  const real = onnxRuntimeFolder();
  const libraries = join(to, own, 'bin', 'napi-v6', 'linux', 'x64');
  await mkdir(libraries, { recursive: true });
  for (const name of ['libonnxruntime.so.1', 'onnxruntime_binding.node']) {
    await symlink(join(real, name), join(libraries, name));
  }
  return { bin: join(folder, 'dist', 'server', 'bin.js'), libraries };
}
