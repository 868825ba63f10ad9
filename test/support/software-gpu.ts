import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Where Debian's `chromium-common` installs SwiftShader, a GPU in software. */
const FOLDER = '/usr/lib/chromium';
const DRIVER = join(FOLDER, 'vk_swiftshader_icd.json');

/** The environment of a process whose WebGPU device is SwiftShader; null where that is not installed. */
export const SOFTWARE_GPU: NodeJS.ProcessEnv | null = existsSync(DRIVER)
  ? { ...process.env, VK_ICD_FILENAMES: DRIVER, LD_LIBRARY_PATH: FOLDER }
  : null;

/** A title that says, where tests are skipped, what they need. */
export const titled = (title: string): string =>
  SOFTWARE_GPU ? title : `${title} (skipped: Debian's chromium-common, with SwiftShader, is not installed)`;
