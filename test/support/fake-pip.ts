import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Writes a program that stands in for pip, and downloads nothing.
 *
 * @param folder is created; as `PATH` it has this pip, and no other
 * @param install shell commands for `pip install`; `$target` is the folder to install into, `$arguments` are all
 * @param name of the program; `python3` is called with `-m pip`. Default `python3`
 */
export async function writeFakePip(
  folder: string,
  install: string,
  name: 'python3' | 'pip3' | 'pip' = 'python3',
): Promise<void> {
  const script = `#!/bin/sh
PATH=/usr/bin:/bin
if [ "$1" = -m ]; then shift 2; fi
if [ "$1" = --version ]; then echo 'pip 99.1 from a test'; exit 0; fi
arguments="$*"
while [ $# -gt 0 ]; do
  if [ "$1" = --target ]; then target="$2"; fi
  shift
done
${install}
`;
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, name), script, { mode: 0o755 });
}
