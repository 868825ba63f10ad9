import { takeCoverage } from 'node:v8';
import { afterAll } from 'vitest';

/** Writes the coverage of each test file: vitest kills its processes before V8 would write any. */
afterAll(() => takeCoverage());
