import { join } from 'node:path';
import { findTensorFlow, type TensorFlowInstallation } from '../../model/tensorflow/installation.js';
import { DEFAULTS, ENVIRONMENT } from '../../server/config.js';

/** The cache folder that commands have where a test names none: `unseam setup tensorflow` puts it there. */
export const ownCacheDir = process.env[ENVIRONMENT.cacheDir] ?? DEFAULTS.cacheDir;

/** TensorFlow; null where it is not set up, and its tests are skipped. */
export const tensorflow: TensorFlowInstallation | null = findTensorFlow(
  ownCacheDir === null ? null : join(ownCacheDir, 'tensorflow'),
);

/** The title of a suite, which says why it is skipped. */
export const titled = (title: string): string =>
  tensorflow ? title : `${title} (skipped: TensorFlow is not set up; see docs/engines.md)`;
