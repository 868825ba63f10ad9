import { takeCoverage } from 'node:v8';

/**
 * Imported first by each process that a test starts when coverage is measured. A worker process ends itself
 * by SIGKILL once it is disconnected, and V8 writes nothing then.
 */
process.prependListener('disconnect', () => takeCoverage());
