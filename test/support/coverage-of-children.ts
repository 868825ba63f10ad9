import { takeCoverage } from 'node:v8';

/**
 * Imported first by each process that a test starts when coverage is measured. A worker process kills itself
 * with SIGKILL once disconnected, before V8 would write its coverage.
 */
process.prependListener('disconnect', () => takeCoverage());
