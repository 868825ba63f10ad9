import { join } from 'node:path';
import { findTensorFlow, type TensorFlowInstallation } from '../../model/tensorflow/installation.js';
import { DEFAULTS, ENVIRONMENT } from '../../server/config.js';

/** Where `unseam setup tensorflow` puts it by default. */
const cacheDir = process.env[ENVIRONMENT.cacheDir] ?? DEFAULTS.cacheDir;

/** TensorFlow; null where it is not set up, and its tests are skipped. */
export const tensorflow: TensorFlowInstallation | null = findTensorFlow(
  cacheDir === null ? null : join(cacheDir, 'tensorflow'),
);

/** The title of a suite, which says why it is skipped. */
export const titled = (title: string): string =>
  tensorflow ? title : `${title} (skipped: TensorFlow is not set up; see docs/engines.md)`;
