import { defineConfig, type ViteUserConfig } from 'vitest/config';

/** Coverage is measured by V8 in every process, by the files as Node.js loads them: vitest leaves them as they are. */
const coverage: ViteUserConfig['test'] = {
  setupFiles: ['dist/test/support/coverage.js'],
  env: { NODE_OPTIONS: `--import=${new URL('dist/test/support/coverage-of-children.js', import.meta.url)}` },
  experimental: { viteModuleRunner: false, nodeLoader: false },
};

// Tests run as compiled by tsc, beside the compiled files that threads and workers start from.
// biome-ignore lint/style/noDefaultExport: vitest reads the default export
export default defineConfig({
  test: {
    include: ['dist/test/**/*.test.js'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
    ...(process.env.NODE_V8_COVERAGE ? coverage : {}),
  },
});
