import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const SOURCES = ['server', 'tiling', 'model', 'loadtest'];

/** Every product file with what it imports: files by path from the root, packages by name. */
function imports(): Map<string, string[]> {
  const files = SOURCES.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  return new Map(
    files.map((file) => {
      const text = readFileSync(file, 'utf8');
      const found = text.matchAll(/^(?:import|export)\b[^;'"]*?['"]([^'"]+)['"]/gm);
      return [file, [...found].map(([, name]) => resolve(file, name!))];
    }),
  );
}

const resolve = (file: string, name: string): string =>
  name.startsWith('.') ? normalize(join(dirname(file), name)).replace(/\.js$/, '.ts') : name;
const graph = imports();
const importers = (matches: RegExp): string[] =>
  [...graph].filter(([, names]) => names.some((name) => matches.test(name))).map(([file]) => file);
/** All files and packages that a process has loaded once it has started with a file; types are none of them. */
function loadedBy(start: string): Set<string> {
  const loaded = new Set([start]);
  for (const file of loaded) {
    if (!graph.has(file)) continue; // a package
    const found = readFileSync(file, 'utf8').matchAll(
      /^(?:import|export)\b(?! type\b)[^;'"]*?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
    );
    for (const [, name, later] of found) loaded.add(resolve(file, (name ?? later)!));
  }
  return loaded;
}
const outside = (files: string[], ...allowed: string[]): string[] =>
  files.filter((file) => !allowed.some((prefix) => file.startsWith(prefix)));

describe('the house', () => {
  it('is read by this test', () => {
    expect(graph.size).toBeGreaterThan(50);
    expect(graph.get('server/pipeline/segment.ts')).toContain('tiling/reader.ts');
  });

  it('tiling and model never import each other, nor the server', () => {
    expect(outside(importers(/^model\//), 'model/', 'server/')).toEqual([]);
    expect(outside(importers(/^tiling\//), 'tiling/', 'server/')).toEqual([]);
    expect(outside(importers(/^server\//), 'server/')).toEqual([]);
  });

  it('sharp and geotiff live in tiling/sources and tiling/sinks', () => {
    expect(outside(importers(/^(sharp|geotiff)$/), 'tiling/sources/', 'tiling/sinks/')).toEqual([]);
  });

  it('only model imports tfjs and ONNX Runtime', () => {
    expect(outside(importers(/^(@tensorflow\/|onnxruntime)/), 'model/')).toEqual([]);
  });

  it('only server imports express, prom-client and p-queue', () => {
    expect(outside(importers(/^(express|prom-client|p-queue)$/), 'server/')).toEqual([]);
  });

  it('the load test speaks HTTP and imports no product code', () => {
    expect(
      [...(graph.get('loadtest/main.ts') ?? [])].filter((name) => /^(server|tiling|model)\//.test(name)),
    ).toEqual([]);
    expect(outside(importers(/^loadtest\//), 'loadtest/')).toEqual([]);
  });

  it('routes share what lies beside them, and import no routes', () => {
    expect(importers(/^server\/http\/routes\//)).toEqual(['server/http/app.ts']);
  });

  it('what reads images loads no engine, and nothing of the HTTP server', () => {
    const engine = /^@tensorflow\/|^onnxruntime/;
    const http = /^express$|^server\/(http|jobs|worker)\/|^server\/serve\.ts$/;
    const found = (start: string, what: RegExp) => [...loadedBy(start)].filter((name) => what.test(name));
    expect(found('server/readers/main.ts', engine)).toEqual([]);
    expect(found('server/readers/main.ts', http)).toEqual([]);
    // Each is what would be found, if it were there.
    expect(found('server/serve.ts', http).length).toBeGreaterThan(5);
    expect(found('model/engine-thread.ts', engine)).toContain('onnxruntime-node');
    expect([...loadedBy('server/readers/main.ts')]).toContain('tiling/sources/openslide.ts');
  });

  it('the process of the command line and the server loads no engine', () => {
    const engine = /^@tensorflow\/|^onnxruntime/;
    expect([...loadedBy('server/bin.ts')].filter((name) => engine.test(name))).toEqual([]);
  });

  it('imports run one way: none in a circle', () => {
    const state = new Map<string, 'open' | 'done'>();
    const visit = (file: string, path: string[]): void => {
      if (state.get(file) === 'done') return;
      expect(state.get(file), [...path, file].join(' -> ')).not.toBe('open');
      state.set(file, 'open');
      for (const name of graph.get(file) ?? []) if (graph.has(name)) visit(name, [...path, file]);
      state.set(file, 'done');
    };
    for (const file of graph.keys()) visit(file, []);
  });

  it('reads the environment in one place', () => {
    const readers = [...graph.keys()].filter((file) => /process\.env/.test(readFileSync(file, 'utf8')));
    expect(outside(readers, 'server/config.ts')).toEqual([]);
  });
});
