import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, normalize } from 'node:path';
import { expect, it } from 'vitest';
import { createCli } from '../server/cli.js';
import { ENVIRONMENT } from '../server/config.js';

// The Dockerfile as a text: `npm run -s bench -- image` builds it, where there is Docker or Podman.

const text = (file: string): string => readFileSync(file, 'utf8');
const require = createRequire(import.meta.url);
const manifest = JSON.parse(text('package.json')) as {
  readonly version: string;
  readonly engines: { readonly node: string };
  readonly files: readonly string[];
};

/** The instructions, each in one line, without comments. */
const instructions = text('Dockerfile')
  .replace(/^\s*#.*\n/gm, '')
  .replace(/\\\n\s*/g, ' ')
  .split('\n')
  .filter(Boolean);
const allOf = (name: string): string[] =>
  instructions.filter((line) => line.startsWith(`${name} `)).map((line) => line.slice(name.length + 1));
const stages = allOf('FROM').map((line) => /^(?<base>\S+)(?: AS (?<name>\S+))?$/.exec(line)!.groups!);

/** What .dockerignore lets into the build, which is nothing else. */
const context = text('.dockerignore')
  .split('\n')
  .filter((line) => line.startsWith('!'))
  .map((line) => line.slice(1));
const isInContext = (path: string): boolean =>
  context.some((allowed) => path === allowed || path.startsWith(`${allowed}/`));

it('the build gets what package.json names, and nothing by default', () => {
  expect(text('.dockerignore')).toMatch(/^\*$/m);
  const sources = manifest.files
    .filter((path) => !path.startsWith('!'))
    .map((path) => path.replace(/^dist\//, ''));
  expect(sources).toContain('models');
  expect(sources.filter((path) => !isInContext(path))).toEqual([]);
  for (const path of [
    'package.json',
    'package-lock.json',
    'tsconfig.json',
    '.npmrc',
    'README.md',
    'LICENSE',
  ]) {
    expect(isInContext(path), path).toBe(true);
  }
});

it('what is compiled imports nothing that the build does not get', () => {
  const folders = context.filter((path) => existsSync(path) && !path.includes('.') && path !== 'LICENSE');
  const sources = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(folder, name)),
  );
  expect(sources.length).toBeGreaterThan(200);
  const missing = sources.flatMap((file) =>
    [...text(file).matchAll(/\b(?:from|import|require)\s*\(?\s*'(?<path>\.[^']+)'/g)]
      .map(({ groups }) => normalize(join(dirname(file), groups!.path!)))
      .filter((path) => !isInContext(path))
      .map((path) => `${file} -> ${path}`),
  );
  expect(missing).toEqual([]);
});

it('copies only what exists, or what the build stage has made', () => {
  const copies = allOf('COPY');
  const own = copies.filter((line) => !line.startsWith('--from='));
  for (const path of own.flatMap((line) => line.split(' ').slice(0, -1))) {
    expect(existsSync(path) && (path === '.' || isInContext(path)), path).toBe(true);
  }
  const built = copies.filter((line) => line.startsWith('--from=')).map((line) => line.split(' ')[1]);
  expect(built).toEqual(['/usr/local/bin/node', '/unseam/node_modules', '/unseam/package']);
});

it('keeps of packages what is loaded', () => {
  // The Dockerfile deletes the other forms of TensorFlow.js, and ONNX Runtime's libraries of other platforms.
  const slimming = allOf('RUN').find((line) => line.startsWith('find '));
  expect(slimming).toContain("find @tensorflow/*/dist -type f -not -name 'tf-*.node.js' -delete");
  for (const name of ['core', 'layers']) {
    expect(require.resolve(`@tensorflow/tfjs-${name}`)).toMatch(
      new RegExp(`@tensorflow/tfjs-${name}/dist/tf-${name}\\.node\\.js$`),
    );
  }
  const onnx = dirname(dirname(require.resolve('onnxruntime-node')));
  expect(slimming).toContain(
    'find onnxruntime-node/bin/napi-v6 -mindepth 2 -maxdepth 2 -not -path "*/linux/',
  );
  for (const arch of ['x64', 'arm64']) {
    expect(existsSync(join(onnx, 'bin', 'napi-v6', 'linux', arch, 'libonnxruntime.so.1'))).toBe(true);
  }
});

it('an image that is built without a target is that of the CPU, by a user that is a number', () => {
  expect(stages.map(({ name = '' }) => name)).toEqual(['build', 'runtime', 'cuda', '']);
  expect(stages.at(-1)!.base).toBe('runtime');
  for (const user of allOf('USER').filter((name) => name !== 'root')) expect(user).toBe('1000:0');
  expect(instructions.lastIndexOf('USER root')).toBeLessThan(instructions.lastIndexOf('USER 1000:0'));
});

it('states its version, and a Node.js that the package supports', () => {
  expect(text('Dockerfile')).toContain(`org.opencontainers.image.version="${manifest.version}"`);
  const [, major] = /^NODE_IMAGE=node:(\d+)-bookworm-slim$/m.exec(allOf('ARG').join('\n'))!;
  expect(Number(major)).toBeGreaterThanOrEqual(Number(/\d+/.exec(manifest.engines.node)![0]));
});

it('sets variables that the server reads, and runs commands that it has', async () => {
  const names = [
    ...allOf('ENV')
      .join(' ')
      .matchAll(/\b(UNSEAM_\w+)=/g),
  ].map(([, name]) => name!);
  expect(names).toContain('UNSEAM_DATA');
  expect(names.filter((name) => !(Object.values(ENVIRONMENT) as string[]).includes(name))).toEqual([]);
  const commands = [...allOf('CMD'), allOf('HEALTHCHECK')[0]!.split(' CMD ')[1]!]
    .map((list) => JSON.parse(list) as string[])
    .map((words) => words.at(-1));
  expect(commands).toEqual(['serve', 'health']);
  for (const name of commands) {
    const cli = await createCli({ signal: new AbortController().signal, stdout() {}, stderr() {} }, [name!]);
    expect(cli.commands.map((command) => command.name())).toEqual([name]);
  }
});

it('compose.yaml mounts what exists, and locks what it starts', () => {
  const compose = text('compose.yaml');
  const mounted = [...compose.matchAll(/^ +- (\.\/[^:\s]+):/gm)].map(([, path]) => path!);
  expect(mounted).toContain('./ops/prometheus');
  expect(mounted.filter((path) => !existsSync(path))).toEqual([]);
  const services = compose.split(/^ {2}(?=\w+:$)/m).filter((part) => /^ {4}image:/m.test(part));
  expect(services).toHaveLength(3);
  for (const service of services) {
    expect(service).toMatch(/cap_drop:\n +- ALL\n/);
    expect(service).toContain('no-new-privileges:true');
    for (const [port] of service.matchAll(/"[\d.:]+:\d+"/g)) expect(port).toMatch(/^"127\.0\.0\.1:/);
  }
  expect(text('.gitignore')).toMatch(/^ops\/prometheus\/unseam-token$/m);
});
