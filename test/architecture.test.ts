import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const SOURCES = ['client', 'server', 'tiling', 'model', 'loadtest'];

/** The folders of `server/`, topmost layer first: each imports only from those below it. */
const ROOMS = [
  'server/bin.ts',
  'server/cli.ts',
  'server/demo.ts',
  'server/commands/',
  'server/serve.ts',
  'server/services.ts',
  'server/gauges.ts',
  'server/limits.ts',
  'server/serve-options.ts',
  'server/http/',
  'server/jobs/',
  'server/worker/',
  'server/readers/',
  'server/training/',
  'server/packages/',
  'server/setup/',
  'server/terminal/',
  'server/svg/',
  'server/pipeline/',
  'server/access/',
  'server/storage/',
  'server/traces/',
  'server/metrics/',
  'server/config.ts',
  'server/contract/',
  'server/web/',
];

/** Modules that decode or encode images. `ENGINE`: modules that run networks. */
const IMAGES = /^(sharp|geotiff|zarrita|@zarrita\/.*|koffi|@cornerstonejs\/.*)$|^tiling\/(sources|sinks)\//;
const ENGINE = /^@tensorflow\/|^onnxruntime/;
const HTTP = /^express$|^server\/(http|jobs)\/|^server\/worker\/client\.ts$|^server\/serve\.ts$/;

const STATEMENT =
  /^(?:import|export)(?<type> type)?\s*(?<names>\{[^}]*\}|\*(?: as \w+)?|\w+)?\s*(?:from\s*|=\s*require\()?['"](?<from>[^'"]+)['"]/gm;

interface Import {
  /** A file as its path from the root, or a package as its name. */
  readonly name: string;
  /** Whether the process loads it at run time: type-only imports are erased. */
  readonly isLoaded: boolean;
}

const text = (file: string): string => readFileSync(file, 'utf8');
const resolve = (file: string, name: string): string =>
  name.startsWith('.') ? normalize(join(dirname(file), name)).replace(/\.js$/, '.ts') : name;

/** Every product file with its imports. */
const graph: ReadonlyMap<string, readonly Import[]> = new Map(
  SOURCES.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  ).map((file) => {
    const found = [...text(file).matchAll(STATEMENT)].map(({ groups = {} }) => {
      const { type, names = '', from } = groups;
      const named = names.replace(/[{}]/g, '').split(',');
      const isTypes =
        named.every((name) => /^\s*(type .*)?$/.test(name)) && named.some((name) => name.trim());
      return { name: resolve(file, from!), isLoaded: type === undefined && !isTypes };
    });
    return [file, found];
  }),
);

const importsOf = (file: string): string[] => (graph.get(file) ?? []).map(({ name }) => name);
const importers = (matches: RegExp): string[] =>
  [...graph.keys()].filter((file) => importsOf(file).some((name) => matches.test(name)));
const outside = (files: string[], ...allowed: string[]): string[] =>
  files.filter((file) => !allowed.some((prefix) => file.startsWith(prefix)));
const filesIn = (room: string): string[] => [...graph.keys()].filter((file) => file.startsWith(room));
/** Edges from the files of a room to modules that it must not import. */
const arrows = (room: string, isForbidden: (name: string) => boolean): string[] =>
  filesIn(room).flatMap((file) =>
    importsOf(file)
      .filter(isForbidden)
      .map((name) => `${file} -> ${name}`),
  );

/** All files and packages that a process loads at startup, given its entry files. */
function loadedBy(...starts: string[]): string[] {
  const loaded = new Set(starts);
  for (const file of loaded) {
    for (const { name, isLoaded } of graph.get(file) ?? []) if (isLoaded) loaded.add(name);
  }
  return [...loaded];
}
/** The same, dynamic `import()`s included. */
function loadedLaterBy(start: string): string[] {
  const loaded = new Set(loadedBy(start));
  for (const file of loaded) {
    if (!graph.has(file)) continue; // a package
    for (const [, name] of text(file).matchAll(/\bimport\(\s*['"]([^'"]+)['"]/g)) {
      for (const each of loadedBy(resolve(file, name!))) loaded.add(each);
    }
  }
  return [...loaded];
}
const matching = (names: string[], what: RegExp): string[] => names.filter((name) => what.test(name));

describe('the dependency graph', () => {
  it('contains the imports known to exist', () => {
    expect(graph.size).toBeGreaterThan(50);
    expect(importsOf('server/pipeline/segment.ts')).toContain('tiling/reader.ts');
    expect(loadedBy('server/pipeline/segment.ts')).not.toContain('server/contract/stages.ts'); // a type
  });

  it('tiling and model import neither each other nor the server', () => {
    expect(outside(importers(/^model\//), 'model/', 'server/')).toEqual([]);
    expect(outside(importers(/^tiling\//), 'tiling/', 'server/')).toEqual([]);
    expect(outside(importers(/^server\//), 'server/', 'client/')).toEqual([]);
  });

  it('only tiling/sources and tiling/sinks import sharp and geotiff', () => {
    expect(outside(importers(/^(sharp|geotiff)$/), 'tiling/sources/', 'tiling/sinks/')).toEqual([]);
  });

  it('sources and sinks never import each other', () => {
    expect(arrows('tiling/sources/', (name) => name.startsWith('tiling/sinks/'))).toEqual([]);
    expect(arrows('tiling/sinks/', (name) => name.startsWith('tiling/sources/'))).toEqual([]);
  });

  it('only model imports tfjs and ONNX Runtime', () => {
    expect(outside(importers(/^(@tensorflow\/|onnxruntime)/), 'model/')).toEqual([]);
  });

  it('tfjs is required: imported, its CommonJS is parsed twice, for 0.2 s in every lane', () => {
    const imported = /^import (?!type )[^;]*['"]@tensorflow\/[^'"]+['"];/m;
    const files = [...graph.keys()].filter((file) => file.startsWith('model/'));
    expect(files.filter((file) => imported.test(text(file).replaceAll(/= require\([^)]*\)/g, '')))).toEqual(
      [],
    );
  });

  it('the onnx backend is independent of networks: of model/ it imports only errors and devices', () => {
    const isOurs = (name: string) => /^model\/(?!onnx\/|errors\.ts|devices\/device\.ts)/.test(name);
    expect(arrows('model/onnx/', isOurs)).toEqual([]);
  });

  it('cuda/ and tensorflow/ know no networks, and only what opens or sets up devices knows them', () => {
    const isOurs = (name: string) => /^model\/(?!cuda\/|errors\.ts|devices\/)/.test(name);
    expect(arrows('model/cuda/', isOurs)).toEqual([]);
    const isOther = (name: string) =>
      /^model\/(?!tensorflow\/|(errors|runtime)\.ts|devices\/dlopen-flags\.ts)/.test(name);
    expect(arrows('model/tensorflow/', isOther)).toEqual([]);
    const setUps = ['server/setup/', 'server/terminal/requested-engine.ts', 'server/commands/devices.ts'];
    const cuda = ['model/cuda/', 'model/devices/open-device.ts', 'model/engine/open-engine.ts'];
    expect(outside(importers(/^model\/cuda\//), ...cuda, ...setUps)).toEqual([]);
    // Those that start it import it later; the others know where it is installed.
    const tensorflow = ['model/tensorflow/', 'model/engine/engine-methods.ts', 'model/devices/versions.ts'];
    expect(outside(importers(/^model\/tensorflow\//), ...tensorflow, ...setUps)).toEqual([]);
  });

  it('each room of model/ knows but those that it stands on', () => {
    const ENGINE_ROOMS = 'devices|cuda|tensorflow|exactness|engine|scheduler|train';
    expect(
      arrows('model/network/', (name) => new RegExp(`^model/(${ENGINE_ROOMS}|onnx)/`).test(name)),
    ).toEqual([]);
    expect(arrows('model/shelf/', (name) => new RegExp(`^model/(${ENGINE_ROOMS}|onnx)/`).test(name))).toEqual(
      [],
    );
    const isOther = (name: string) => /^model\/(?!scheduler\/|(errors|compute-choice)\.ts)/.test(name);
    expect(arrows('model/scheduler/', isOther)).toEqual([]);
    expect(arrows('model/exactness/', (name) => /^model\/(onnx|train|scheduler)\//.test(name))).toEqual([]);
    expect(
      arrows('model/devices/', (name) => /^model\/(network|shelf|train|exactness|scheduler)\//.test(name)),
    ).toEqual([]);
    expect(arrows('model/engine/', (name) => name.startsWith('model/scheduler/'))).toEqual([]);
    const BACKENDS = 'onnx|cuda|tensorflow';
    expect(
      arrows('model/train/', (name) => new RegExp(`^model/(${BACKENDS}|scheduler|exactness)/`).test(name)),
    ).toEqual([]);
    const isFile = (name: string) => /^node:fs/.test(name);
    for (const room of ['network', 'quantisation', 'scheduler'])
      expect(arrows(`model/${room}/`, isFile)).toEqual([]);
  });

  it('archives, YAML and HDF5 are read and written in packages/ alone, and exchange/ knows no engine and no files', () => {
    expect(outside(importers(/^(yauzl|yaml|h5wasm)$/), 'server/packages/')).toEqual([]);
    const isForbidden = (name: string) => /^(model\/(engine|scheduler|train|devices)\/|node:fs)/.test(name);
    expect(arrows('model/exchange/', isForbidden)).toEqual([]);
  });

  it('express and tus are in http/ alone, prom-client in metrics/, and p-queue in jobs/', () => {
    expect(outside(importers(/^(express|@tus\/.*)$/), 'server/http/')).toEqual([]);
    expect(outside(importers(/^prom-client$/), 'server/metrics/')).toEqual([]);
    expect(outside(importers(/^p-queue$/), 'server/jobs/')).toEqual([]);
    for (const name of ['express', '@tus/server', 'prom-client', 'p-queue'])
      expect([...graph.values()].flat().map((each) => each.name)).toContain(name);
  });

  it('the client runs anywhere: it loads nothing but itself, and takes its types from the contract', () => {
    const loaded = loadedBy(...filesIn('client/'));
    expect(loaded.filter((name) => !name.startsWith('client/'))).toEqual([]);
    expect(arrows('client/', (name) => !/^(client|server\/contract)\/|^zod$/.test(name))).toEqual([]);
    expect(outside(importers(/^client\//), 'client/', 'server/web/', 'loadtest/')).toEqual([]);
  });

  it('the load test speaks HTTP and imports no product code but the client', () => {
    expect(arrows('loadtest/', (name) => /^(server|tiling|model)\//.test(name))).toEqual([]);
    expect(outside(importers(/^loadtest\//), 'loadtest/')).toEqual([]);
  });

  it('has no import cycles', () => {
    const state = new Map<string, 'open' | 'done'>();
    const visit = (file: string, path: string[]): void => {
      if (state.get(file) === 'done') return;
      expect(state.get(file), [...path, file].join(' -> ')).not.toBe('open');
      state.set(file, 'open');
      for (const name of importsOf(file)) if (graph.has(name)) visit(name, [...path, file]);
      state.set(file, 'done');
    };
    for (const file of graph.keys()) visit(file, []);
  });

  it('has no unreachable file', () => {
    const starts = ['server/bin.ts', 'server/demo.ts', 'server/worker/main.ts', 'server/readers/main.ts'];
    const entries = [
      ...starts,
      'model/engine/engine-thread.ts',
      'model/engine/device-process.ts',
      'model/cuda/count-process.ts',
      'server/web/page.ts',
      'client/index.ts',
      'loadtest/main.ts',
    ];
    const used = new Set(entries.flatMap(loadedLaterBy));
    for (const file of used) for (const name of importsOf(file)) used.add(name); // types, too
    expect([...graph.keys()].filter((file) => !used.has(file))).toEqual([]);
  });

  it('reads environment variables in server/config.ts only, and in the main file of the load test', () => {
    const readers = [...graph.keys()].filter((file) =>
      /(?<!delete )process\.env(?!\.\w+ = )/.test(text(file)),
    );
    expect(outside(readers, 'server/config.ts', 'loadtest/main.ts')).toEqual([]);
  });
});

describe('the rooms of server/', () => {
  const roomOf = (file: string): number => ROOMS.findIndex((room) => file.startsWith(room));

  it('contain every file', () => {
    expect(filesIn('server/').filter((file) => roomOf(file) < 0)).toEqual([]);
    expect(ROOMS.filter((room) => filesIn(room).length === 0)).toEqual([]);
  });

  it.each(ROOMS)('%s imports only from rooms below it', (room) => {
    const floor = ROOMS.indexOf(room);
    expect(arrows(room, (name) => name.startsWith('server/') && roomOf(name) < floor)).toEqual([]);
  });

  it('are those of the table in docs/architecture.md, in its order', () => {
    const [, table = ''] = text('docs/architecture.md').split(/^\| room of `server\/`.*$/m);
    const [rows = ''] = table.trimStart().split('\n\n');
    const named = rows.split('\n').flatMap((row) => {
      const [, first = ''] = row.split('|');
      return [...first.matchAll(/`([^`]+)`/g)].map(([, name]) => `server/${name}`);
    });
    expect(named).toEqual(ROOMS);
  });

  it('metrics/, svg/ and config.ts import no other room', () => {
    const isOther = (own: string) => (name: string) => name.startsWith('server/') && !name.startsWith(own);
    for (const room of ['server/metrics/', 'server/svg/', 'server/config.ts'])
      expect(arrows(room, isOther(room))).toEqual([]);
    expect(importsOf('server/config.ts').filter((name) => !name.startsWith('node:'))).toEqual([]);
  });

  it('traces/ imports only metrics/ and contract/', () => {
    const isOther = (name: string) => /^server\/(?!(traces|metrics|contract)\/)/.test(name);
    expect(arrows('server/traces/', isOther)).toEqual([]);
  });

  it('worker/ and readers/ know no jobs, and training/ neither jobs nor processes', () => {
    for (const room of ['server/worker/', 'server/readers/', 'server/training/'])
      expect(arrows(room, (name) => /^server\/(http|jobs)\//.test(name))).toEqual([]);
    expect(arrows('server/training/', (name) => /^server\/(worker|readers)\//.test(name))).toEqual([]);
    expect(arrows('server/readers/', (name) => name.startsWith('server/worker/'))).toEqual([]);
  });

  it('of the commands, serve alone knows the HTTP server', () => {
    expect(
      outside(importers(/^server\/((http|jobs)\/|serve\.ts$)/), 'server/http/', 'server/jobs/').filter(
        (file) => file.startsWith('server/commands/'),
      ),
    ).toEqual(['server/commands/serve.ts']);
  });

  it('bin.ts loads no command, before one is requested', () => {
    expect(loadedBy('server/bin.ts').filter((name) => name.startsWith('server/commands/'))).toEqual([]);
  });

  it('contract/ imports no other room, and zod is its only package', () => {
    expect(arrows('server/contract/', (name) => /^server\/(?!contract\/)/.test(name))).toEqual([]);
    const packages = loadedBy(...filesIn('server/contract/')).filter((name) => !graph.has(name));
    expect(packages.filter((name) => !/^(node:|zod$)/.test(name))).toEqual([]);
  });

  it('access/ imports only storage/ and contract/, and is alone with jose, which is loaded where a provider is configured', () => {
    const isOther = (name: string) => /^server\/(?!(access|storage|contract)\/)/.test(name);
    expect(arrows('server/access/', isOther)).toEqual([]);
    expect(importers(/^jose$/)).toEqual(['server/access/oidc.ts']);
    expect(loadedBy('server/serve.ts')).not.toContain('jose');
  });

  it('storage/ imports only contract/', () => {
    expect(arrows('server/storage/', (name) => /^server\/(?!storage\/|contract\/)/.test(name))).toEqual([]);
  });

  it('setup/ loads no network, no image, and nothing of the HTTP server', () => {
    const loaded = filesIn('server/setup/').flatMap(loadedLaterBy);
    expect(loaded).toContain('model/cuda/links.ts');
    for (const what of [IMAGES, ENGINE, HTTP]) expect(matching(loaded, what)).toEqual([]);
  });

  it('web/, which runs in browsers, imports nothing from outside but the client', () => {
    expect(arrows('server/web/', (name) => !/^(server\/web|client)\/|^openseadragon$/.test(name))).toEqual(
      [],
    );
    expect(outside(importers(/^server\/web\//), 'server/web/')).toEqual([]);
  });

  it('routes never import each other', () => {
    expect(importers(/^server\/http\/routes\//)).toEqual(['server/http/app.ts']);
  });
});

describe('processes', () => {
  it('the HTTP process loads no image codec and no engine', () => {
    // The CLI imports the requested command dynamically; `serve` in turn imports the server.
    const loaded = loadedBy('server/bin.ts', 'server/commands/serve.ts', 'server/serve.ts');
    expect(matching(loaded, IMAGES)).toEqual([]);
    expect(matching(loaded, ENGINE)).toEqual([]);
    expect(loaded).toContain('express');
  });

  it('commands start the models before they load what decodes images', () => {
    const loaded = loadedBy('server/commands/bench.ts', 'server/commands/plan.ts');
    expect(matching(loaded, IMAGES)).toEqual([]);
    expect(loaded).toContain('server/pipeline/model-host.ts');
    expect(matching(loadedBy('server/pipeline/segmenter.ts'), IMAGES)).toContain('sharp');
  });

  it('a reader process loads no engine and nothing of the HTTP server', () => {
    const loaded = loadedLaterBy('server/readers/main.ts');
    expect(matching(loaded, ENGINE)).toEqual([]);
    expect(matching(loaded, HTTP)).toEqual([]);
    // Each pattern matches where a match is expected.
    expect(matching(loadedBy('server/serve.ts'), HTTP).length).toBeGreaterThan(5);
    expect(matching(loadedLaterBy('model/engine/engine-thread.ts'), ENGINE)).toContain('onnxruntime-node');
    expect(loaded).toContain('tiling/sources/openslide.ts');
  });

  it('a lane loads one engine: that of TensorFlow loads no ONNX Runtime', () => {
    const loaded = loadedBy('model/engine/engine-thread.ts', 'model/tensorflow/runtime.ts');
    expect(matching(loaded, /^onnxruntime/)).toEqual([]);
  });

  it('the worker loads nothing of the HTTP server', () => {
    const loaded = loadedLaterBy('server/worker/main.ts');
    expect(matching(loaded, HTTP)).toEqual([]);
    expect(loaded).toContain('tiling/sinks/journal.ts');
  });

  it('engines run in threads: no process loads one, but for the floating-point modes that threads inherit', () => {
    expect(matching(loadedLaterBy('server/readers/main.ts'), ENGINE)).toEqual([]);
    for (const start of ['server/bin.ts', 'server/worker/main.ts']) {
      const loaded = loadedLaterBy(start);
      expect(matching(loaded, ENGINE)).toEqual(['onnxruntime-node']);
      expect(loaded).toContain('model/engine/flush-denormals.ts');
      expect(loaded).not.toContain('model/onnx/sessions.ts');
    }
    expect(loadedLaterBy('server/bin.ts')).toContain('server/commands/train.ts');
  });
});

it.each(['docs/architecture.md', 'CONTRIBUTING.md'])('%s names only files that exist', (page) => {
  const files = [...SOURCES, 'bench', 'test'].flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  );
  const isThere = (name: string) => files.some((file) => file === name || file.endsWith(`/${name}`));
  // NAME is a placeholder for a file that the reader creates.
  const named = [...text(page).matchAll(/`([\w./-]+\.ts)`/g)].map(([, name]) => name!);
  expect(named.length).toBeGreaterThan(10);
  expect(named.filter((name) => !name.includes('NAME') && !isThere(name))).toEqual([]);
});

it('every decision has a number of its own, in its name and in its title', () => {
  const names = readdirSync('docs/decisions').sort();
  const titles = names.map((name) => Number(/^# (\d+)\. /.exec(text(`docs/decisions/${name}`))?.[1]));
  expect(names.map((name) => Number(name.slice(0, 4)))).toEqual(titles);
  expect(new Set(titles).size).toBe(names.length);
});
