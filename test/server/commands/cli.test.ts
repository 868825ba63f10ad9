import type { ChildProcess } from 'node:child_process';
import { watch } from 'node:fs';
import { cp, mkdir, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, it } from 'vitest';
import { openImage } from '../../../tiling/sources/open.js';
import { testFolder } from '../../support/files.js';
import { MODELS, unseam, unseamHere } from '../../support/product.js';
import { even, firstDifference, pattern } from '../../support/rasters.js';
import { claimGiantSides, writeTestTiff } from '../../support/tiff.js';

const folder = await testFolder();
const scratch = join(folder, 'scratch');
const shapes = join(folder, 'samples', 'images', 'shapes-0001.png');
const run = (...args: string[]) => unseam([...args, '--scratch', scratch]);
const runHere = (...args: string[]) => unseamHere([...args, '--scratch', scratch]);

beforeAll(async () => {
  await mkdir(scratch);
  const made = await unseamHere(['samples', '-o', join(folder, 'samples'), '-s', '400x300', '-n', '2']);
  expect(made).toMatchObject({ code: 0 });
});

describe('unseam segment', () => {
  it('writes a correct mask without output, and a receipt on request', async () => {
    const out = join(folder, 'mask.png');
    const result = await run('segment', shapes, '-o', out, '-m', 'shapes', '--json');
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout)).toMatchObject({
      model: { name: 'shapes', version: 1 },
      image: { width: 400, height: 300, channels: 1, dtype: 'uint8' },
      plan: { halo: even(44), tiles: 1 },
      exact: true,
      channels: 'none',
      warnings: [],
    });
    // Machines with AVX2 and with AVX-512 round differently: their receipts distinguish them.
    expect(JSON.parse(result.stdout)).toMatchObject({
      device: expect.stringMatching(
        /^cpu \((\d+ lanes of )?\d+ threads?\): .+, [a-z0-9]+, (no blocks|blocks of \d+)$/,
      ),
      versions: { unseam: expect.any(String), 'onnxruntime-node': expect.any(String) },
    });
    const mask = await sharp(out).toColourspace('b-w').raw().toBuffer();
    const truth = await sharp(shapes.replace('images', 'labels')).toColourspace('b-w').raw().toBuffer();
    const wrong = mask.filter((label, i) => label !== truth[i]).length;
    expect(wrong / mask.length).toBeLessThan(0.01);
  });

  it('writes labels, derived outputs and probabilities in one pass, identical to separate runs', async () => {
    const path = (name: string) => join(folder, `together-${name}`);
    const alone = (name: string) => join(folder, `alone-${name}`);
    const one = ['segment', shapes, '-m', 'shapes', '--tile', '188'];
    const also = ['overlay=o.png', 'geojson=g.geojson', 'instances=i.tif', 'probabilities=p.tif'].map(
      (text) => text.split('=') as [string, string],
    );
    const result = await run(
      ...[...one, '-o', path('l.tif'), '--json'],
      ...also.flatMap(([output, name]) => ['--also', `${output}=${path(name)}`]),
    );
    expect(result).toMatchObject({ code: 0, stderr: '' });
    expect(JSON.parse(result.stdout).areas).toHaveLength(3);
    const labels = also.slice(0, 3).flatMap(([output, name]) => ['--also', `${output}=${alone(name)}`]);
    expect(await run(...one, '-o', alone('l.tif'), ...labels)).toMatchObject({ code: 0 });
    expect(await run(...one, '-o', alone('p.tif'), '--output', 'probabilities')).toMatchObject({ code: 0 });
    for (const name of ['l.tif', ...also.map(([, file]) => file)]) {
      expect((await readFile(path(name))).equals(await readFile(alone(name)))).toBe(true);
    }
  });

  it('writes the same files of labels and probabilities for any tile', async () => {
    const files: Buffer[][] = [];
    for (const tile of ['100', '188x284', 'whole', 'auto']) {
      const [labels, probabilities] = ['l', 'p'].map((name) => join(folder, `${name}-${tile}.tif`));
      const also = ['--also', `probabilities=${probabilities}`];
      const result = await run('segment', shapes, '-o', labels!, '-m', 'shapes', '--tile', tile, ...also);
      expect(result).toMatchObject({ code: 0 });
      files.push([await readFile(labels!), await readFile(probabilities!)]);
    }
    expect(files.every((pair) => pair.every((file, i) => file.equals(files[0]![i]!)))).toBe(true);
  });

  it('writes the same PNG, TIFF and Zarr for an image wider than one column block', async () => {
    const wide = join(folder, 'wide');
    await unseamHere(['samples', '-o', wide, '-s', '9001x130']);
    const input = join(wide, 'images', 'shapes-0001.png');
    const files: Buffer[][] = [];
    for (const tile of ['188', 'whole', 'auto']) {
      const [png, ...others] = ['png', 'tif', 'ozx'].map((ending) => join(folder, `wide-${tile}.${ending}`));
      const also = others.flatMap((path) => ['--also', `labels=${path}`]);
      const result = await run('segment', input, '-o', png!, '-m', 'shapes', '--tile', tile, ...also);
      expect(result).toMatchObject({ code: 0 });
      files.push(await Promise.all([png!, ...others].map((path) => readFile(path))));
    }
    expect(files.every((row) => row.every((file, i) => file.equals(files[0]![i]!)))).toBe(true);
    expect((await readdir(folder)).filter((name) => /partial|blocks/.test(name))).toEqual([]);
  });

  it('writes an OME-Zarr, and labels into it, with the values of the TIFF', async () => {
    const [zarr, tiff] = [join(folder, 'mask.zarr'), join(folder, 'same.tif')];
    const one = await run('segment', shapes, '-o', zarr, '-m', 'shapes', '--also', `labels=${tiff}`);
    expect(one).toMatchObject({ code: 0 });
    expect(await run('segment', shapes, '-o', zarr, '-m', 'shapes')).toMatchObject({ code: 0 }); // replaces its own
    const valuesOf = async (path: string) => {
      const image = await openImage(path, { scratchDir: folder, maxPixels: 1e9, values: 'stored' });
      const { data } = await image.readRegion({ x: 0, y: 0, ...image.size });
      await image.close();
      return data;
    };
    expect(firstDifference(await valuesOf(zarr), await valuesOf(tiff))).toBe(-1);

    const into = await run('segment', zarr, '--into-source', '-m', 'shapes', '--json');
    expect(JSON.parse(into.stdout)).toMatchObject({ result: join(zarr, 'labels', 'shapes') });
    expect(await readdir(join(zarr, 'labels'))).toEqual(['classes', 'shapes', 'zarr.json']);
    const direct = join(folder, 'direct.tif');
    expect(await run('segment', zarr, '-o', direct, '-m', 'shapes')).toMatchObject({ code: 0 });
    expect(firstDifference(await valuesOf(join(zarr, 'labels', 'shapes')), await valuesOf(direct))).toBe(-1);
  });

  it.each([
    [['--into-source'], /--into-source writes into the image itself, and it is no folder of an OME-Zarr/],
    [['--into-source', 'a', '-o', 'b.tif'], /by -o, --out or by --into-source: by one of them/],
    [['--into-source', 'a', '--output', 'overlay'], /writes labels, not overlay/],
    [[], /by -o, --out or by --into-source/],
  ])('refuses results that are named by %j', async (flags, message) => {
    const result = await runHere('segment', shapes, '-m', 'shapes', ...flags);
    expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
  });

  it('converts a colour image to luminance for a gray model, with a warning', async () => {
    const rgb = join(folder, 'rgb.png');
    await sharp(shapes).toColourspace('srgb').png().toFile(rgb);
    const result = await run('segment', rgb, '-o', join(folder, 'rgb-mask.png'), '-m', 'shapes', '--json');
    expect(JSON.parse(result.stdout)).toMatchObject({ channels: 'luminance', image: { channels: 3 } });
  });

  it('continues after a bad file, prints a summary, and exits with its code', async () => {
    const several = join(folder, 'several');
    await mkdir(several);
    const good = await readFile(shapes);
    await writeFile(join(several, 'a.png'), good);
    await writeFile(join(several, 'b.png'), good.subarray(0, 5000));
    await writeFile(join(several, 'c.png'), good);
    const out = join(folder, 'masks');
    const result = await run('segment', several, '-o', out, '-m', 'shapes');
    expect(result.code).toBe(6);
    expect(result.stderr).toMatch(/b\.png: the picture cannot be decoded/);
    expect(result.stderr).toMatch(/2 of 3 images segmented/);
    expect(await readdir(out)).toEqual(['a.png', 'c.png']);
  });

  it('leaves no partial file on Ctrl-C', async () => {
    const large = join(folder, 'large');
    await unseamHere(['samples', '-o', large, '-s', '2000', '-f', 'tiff']);
    const out = join(folder, 'stopped');
    await mkdir(out);
    const input = join(large, 'images', 'shapes-0001.tif');
    const args = ['segment', input, '-o', join(out, 'mask.tif'), '-m', 'shapes', '--scratch', scratch];
    const started = (child: ChildProcess) => {
      const watcher = watch(out, () => {
        watcher.close();
        child.kill('SIGINT');
      });
    };
    const result = await unseam(args, { started });
    expect(result).toMatchObject({ code: 130, stderr: expect.stringMatching(/stopped by SIGINT/) });
    expect(await readdir(out)).toEqual([]);
    await rm(large, { recursive: true });
  });

  it('says that it waits for another run, and ends on Ctrl-C, without labels', async () => {
    const zarr = join(folder, 'locked.zarr');
    expect(await run('segment', shapes, '-o', zarr, '-m', 'shapes')).toMatchObject({ code: 0 });
    const lock = join(zarr, '.labels.lock');
    await writeFile(lock, 'of another run');
    const started = (child: ChildProcess) => {
      child.stderr!.on(
        'data',
        (text) => /waiting for another run/.test(String(text)) && child.kill('SIGINT'),
      );
    };
    const args = ['segment', zarr, '--into-source', '-m', 'shapes', '--scratch', scratch];
    expect(await unseam(args, { started, timeoutMs: 60_000 })).toMatchObject({
      code: 130,
      stderr: expect.stringMatching(/waiting for another run.+locked\.zarr.+\n.*stopped by SIGINT/),
    });
    expect(await readdir(join(zarr, 'labels'))).toEqual(['classes', 'zarr.json']);
    expect((await readdir(zarr)).filter((name) => name.startsWith('.'))).toEqual(['.labels.lock']);
  });

  it('leaves nothing in the scratch folder', async () => {
    expect(await readdir(scratch)).toEqual([]);
  });
});

describe('bad input exits with its own code and a message that names the cause', () => {
  const file = async (name: string, bytes: Buffer) => {
    await writeFile(join(folder, name), bytes);
    return join(folder, name);
  };
  const tiff = async (damage: (bytes: Buffer) => Buffer) => {
    const path = join(folder, 'damaged.tif');
    await writeTestTiff(path, pattern(16, 16), { tile: { width: 16, height: 16 }, compression: 8 });
    return file('damaged.tif', damage(await readFile(path)));
  };
  const out = join(folder, 'never.png');
  const cases: [string, () => Promise<string[]>, number, RegExp][] = [
    ['empty', async () => [await file('empty.png', Buffer.alloc(0))], 5, /0 bytes/],
    ['text', async () => [await file('text.png', Buffer.from('no image'))], 5, /not a supported image/],
    [
      'a truncated PNG',
      async () => [await file('cut.png', (await readFile(shapes)).subarray(0, 9000))],
      6,
      /decoded/,
    ],
    ['no such file', async () => [join(folder, 'nothing.png')], 3, /nothing\.png: there is no such file/],
    [
      'an unknown model',
      async () => [shapes, '-m', 'none'],
      3,
      /no model is named "none"; known: em-membrane, shapes/,
    ],
    [
      'an invalid tile size for the model',
      async () => [shapes, '--tile', '573'],
      2,
      /573 px is not a valid tile side.*572/,
    ],
    [
      'an unknown output',
      async () => [shapes, '--output', 'pdf'],
      2,
      /unknown output "pdf": expected labels/,
    ],
    [
      'floats in a PNG',
      async () => [shapes, '--output', 'probabilities'],
      2,
      /probabilities are written as tiff, raw or zarr, not png/,
    ],
    ['a mask with the path of its image', async () => [shapes, '-o', shapes], 2, /the image itself/],
    ['too many pixels', async () => [shapes, '--max-pixels', '1000'], 4, /400 × 300 px; the limit is 1000/],
    [
      'a truncated TIFF',
      async () => [await tiff((bytes) => bytes.subarray(0, bytes.length - 60))],
      6,
      /the TIFF is truncated/,
    ],
    [
      'a TIFF that declares 2^31 px a side',
      async () => [await tiff(claimGiantSides)],
      4,
      /2147483648 × 2147483648 px/,
    ],
    [
      'five channels',
      async () => {
        const path = join(folder, 'five.tif');
        await writeTestTiff(path, pattern(64, 64, 5), {
          tile: { width: 64, height: 64 },
          compression: 8,
          photometric: 1,
        });
        return [path];
      },
      5,
      /5 channels/,
    ],
    [
      'more lanes than threads',
      async () => [shapes, '--threads', '2', '--lanes', '3'],
      2,
      /--lanes 3: 2 threads have at most 2 lanes/,
    ],
  ];
  it.each(cases)('%s', async (_name, args, code, message) => {
    const given = await args();
    const model = given.includes('-m') ? [] : ['-m', 'shapes'];
    const result = await runHere('segment', '-o', out, ...given, ...model);
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(message) });
    expect(result.stderr.trim().split('\n').length).toBe(1);
    expect(await readdir(folder)).not.toContain('never.png');
  });

  it('and ends the process, which printed nothing else', async () => {
    const path = await file('cut.png', (await readFile(shapes)).subarray(0, 9000));
    const result = await run('segment', path, '-o', out, '-m', 'shapes');
    expect(result).toMatchObject({
      code: 6,
      stderr: expect.stringMatching(/^unseam: [^\n]*decoded[^\n]*\n$/),
    });
  });

  it('and ends the process that has loaded a damaged model', async () => {
    const models = join(folder, 'damaged-models');
    await cp(join(MODELS, 'shapes'), join(models, 'shapes'), { recursive: true });
    await truncate(join(models, 'shapes', '1', 'weights.bin'), 100);
    const result = await run('segment', shapes, '-o', out, '-m', 'shapes', '--models', models);
    expect(result).toMatchObject({
      code: 7,
      stderr: expect.stringMatching(/^unseam: [^\n]*weights\.bin does not match its card[^\n]*\n$/),
    });
  });

  it('an unknown option, and an option that is not a number', async () => {
    for (const args of [
      ['--tiles', '9'],
      ['--threads', 'many'],
    ]) {
      const result = await run('segment', shapes, '-o', out, ...args);
      expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(/^error: /) });
    }
    expect(await unseam(['--version'])).toMatchObject({ code: 0, stdout: '0.1.0\n' });
  });

  it('--memory for a command that does not use it', async () => {
    for (const command of [
      ['train', '--name', 'x'],
      ['evaluate', '--images', folder, '--labels', folder],
    ]) {
      const { code, stderr } = await unseamHere([...command, '--memory', '1G']);
      expect(code).toBe(2);
      expect(stderr).toMatch(/unknown option '--memory'/);
    }
  });

  it('an extension that implies no format', async () => {
    expect(await runHere('segment', shapes, '-m', 'shapes', '-o', join(folder, 'mask.bmp'))).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/none of the extensions \.png, \.tif/),
    });
  });
});

describe('an unusable path', () => {
  const cases: [what: string, out: () => Promise<string>, code: number, says: RegExp][] = [
    [
      'a folder that does not exist',
      async () => join(folder, 'none', 'a.png'),
      3,
      /\/none: no such file or folder/,
    ],
    [
      'a file in place of a folder',
      async () => {
        await writeFile(join(folder, 'plain'), '');
        return join(folder, 'plain', 'a.png');
      },
      3,
      /a component of the path is not a folder/,
    ],
    // Not writable, even for root.
    [
      'a folder without permission',
      async () => '/sys/a.png',
      13,
      /^unseam: \/sys\/a\.png: .*(permission denied|read-only)/,
    ],
  ];
  it.each(cases)('%s is named', async (what, out, code, says) => {
    if (what.endsWith('permission') && process.platform !== 'linux') return;
    const path = await out();
    const result = await runHere('segment', shapes, '-m', 'shapes', '-o', path);
    expect([result.code, result.stderr.split('\n')[0]]).toEqual([code, expect.stringMatching(says)]);
    expect(result.stderr).not.toMatch(/\n\s+at /);
  });
});

describe('unseam samples', () => {
  it('states its default size in the form that it accepts', async () => {
    const { stdout } = await unseamHere(['samples', '--help']);
    expect(stdout.replace(/\s+/g, ' ')).toContain('side in px, or WIDTHxHEIGHT (default: 512)');
  });
});

describe('unseam models and plan', () => {
  it('lists the models', async () => {
    const { stdout } = await unseamHere(['models']);
    expect(stdout).toMatch(/em-membrane version 1: 0 membrane, 1 cell; 481762 parameters/);
    expect(stdout).toMatch(/shapes version 1: 0 background, 1 triangle, 2 circle/);
  });

  it('rejects a models folder that does not exist', async () => {
    const { code, stderr } = await unseamHere(['models', '--models', join(folder, 'no-models')]);
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/^unseam: --models: there is no folder ".*no-models"$/m),
    ]);
  });

  it('plans without segmenting', async () => {
    const { stdout } = await run('plan', shapes, '-m', 'shapes', '-t', '188');
    expect(stdout.split('\n')).toEqual([
      expect.stringMatching(/^image {5}400×300 px, 1 channel, uint8/),
      'model     shapes/1, exact',
      expect.stringMatching(/^tiles {5}20 of 188×188 px, halo 44 px a side: \d+ % of the work$/),
      expect.stringMatching(/^memory {4}up to \d+ MB$/),
      expect.stringMatching(/^disk {6}up to \d+ kB, and \d+ kB while it runs$/),
      expect.stringMatching(/^time {6}about .+ on cpu \(/),
      '',
    ]);
    const json = await run('plan', shapes, '-m', 'shapes', '-t', '188', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      plan: { tile: '188x188', stride: '96x96', tiles: 20, halo: even(44) },
    });
  });
});
