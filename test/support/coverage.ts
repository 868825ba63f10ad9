import { takeCoverage } from 'node:v8';
import { afterAll } from 'vitest';

/** Of each test file when coverage is measured: vitest ends its processes by a signal, before V8 writes any. */
afterAll(() => takeCoverage());
