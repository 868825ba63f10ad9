import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { openArchive, openBeside, openPackage } from '../../../server/packages/package-files.js';
import { zipParts } from '../../../server/packages/zip-writer.js';
import { testFolder } from '../../support/files.js';

const dir = await testFolder();
const file = (name: string, text = name) => ({ name, data: Buffer.from(text) });
const archive = (...files: readonly ReturnType<typeof file>[]) => Buffer.concat(zipParts(files));

describe('the files of a package', () => {
  it('are those that were written', async () => {
    const zip = await openArchive('a.zip', archive(file('b/c.txt', 'see'), file('a.txt')));
    expect(zip.paths).toEqual(['a.txt', 'b/c.txt']);
    expect((await zip.read('./b//c.txt')).toString()).toBe('see');
    await zip.close();
  });

  it('are the same bytes for the same files', () => {
    expect(archive(file('a.txt'))).toEqual(archive(file('a.txt')));
  });

  it('are read from folders alike', async () => {
    await mkdir(join(dir, 'folder/b'), { recursive: true });
    await writeFile(join(dir, 'folder/b/c.txt'), 'see');
    const folder = await openPackage(join(dir, 'folder'));
    expect((await folder.read('b/c.txt')).toString()).toBe('see');
  });

  it('are listed of a folder alone, without the folders in it, and not at all beside a file that is named', async () => {
    await writeFile(join(dir, 'folder/a.txt'), 'named');
    expect((await openPackage(join(dir, 'folder'))).paths).toEqual(['a.txt']);
    const beside = await openBeside(join(dir, 'folder/a.txt'));
    expect(beside.paths).toEqual(['a.txt']);
    expect((await beside.read('b/c.txt')).toString()).toBe('see');
    await expect(beside.read('../secret.txt')).rejects.toThrow('leaves the package');
  });

  it('are no larger than they may be', async () => {
    const zip = await openArchive('a.zip', archive(file('a.txt', 'four')));
    await expect(zip.read('a.txt', 3)).rejects.toThrow('a.txt is larger than 1 MiB');
    const folder = await openPackage(join(dir, 'folder'));
    await expect(folder.read('b/c.txt', 2)).rejects.toThrow('b/c.txt is larger than 1 MiB');
  });

  it.each(['../secret', '/etc/passwd', 'a/../../b', 'C:\\a', 'https://example.com/weights.onnx'])(
    'are none outside of it: %s',
    async (path) => {
      const zip = await openArchive('a.zip', archive(file('a.txt')));
      await expect(zip.read(path)).rejects.toMatchObject({ code: 'bad-package' });
      const folder = await openPackage(join(dir, 'folder'));
      await expect(folder.read(path)).rejects.toMatchObject({ code: 'bad-package' });
    },
  );

  it('are not what a link of a folder leads to', async () => {
    await writeFile(join(dir, 'secret.txt'), 'secret');
    await symlink(join(dir, 'secret.txt'), join(dir, 'folder/link.txt'));
    const folder = await openPackage(join(dir, 'folder'));
    await expect(folder.read('link.txt')).rejects.toThrow('link.txt is a link that leads out of the package');
  });

  it.each([
    ['a name that leaves it', archive(file('../a.txt')), /invalid relative path/],
    ['two files of one name', archive(file('a.txt'), file('a.txt', 'b')), /two files named a\.txt/],
    ['a link', withField(archive(file('a.txt')), 'PK\x01\x02', 38, 0xa1ff0000), /is a link/],
    ['no archive', Buffer.from('rdf.yaml'), /it is not a zip archive/],
  ])('are refused for %s', async (_what, data, reason) => {
    await expect(openArchive('a.zip', data)).rejects.toThrow(reason);
  });

  it('are refused where they unpack to a hundred times the archive, and more', async () => {
    const bomb = withDeflated('a.bin', Buffer.alloc(2 ** 27));
    await expect(openArchive('a.zip', bomb)).rejects.toThrow('more than 100 times larger than the archive');
  });

  it('are refused where they unpack to more than they state', async () => {
    const lying = withField(withDeflated('a.bin', Buffer.alloc(5000)), 'PK\x01\x02', 46 + 5 + 4, 100);
    const zip = await openArchive('a.zip', lying);
    await expect(zip.read('a.bin')).rejects.toThrow(/a\.bin is damaged: too many bytes/);
  });

  it('are named where one is missing', async () => {
    const zip = await openArchive('a.zip', archive(file('a.txt')));
    await expect(zip.read('weights.onnx')).rejects.toThrow('a.zip: it has no file weights.onnx');
  });
});

/** An archive with a number of 32 bits replaced, behind the last signature of a kind. */
function withField(data: Buffer, signature: string, offset: number, value: number): Buffer {
  const changed = Buffer.from(data);
  changed.writeUInt32LE(value, changed.lastIndexOf(signature, undefined, 'latin1') + offset);
  return changed;
}

/** An archive of one file that is compressed. */
function withDeflated(name: string, data: Buffer): Buffer {
  const zip = Buffer.concat(zipParts([{ name, data: deflateRawSync(data) }]));
  const listed = zip.lastIndexOf('PK\x01\x02', undefined, 'latin1');
  const length = BigInt(data.length);
  zip.writeUInt16LE(8, 8);
  zip.writeBigUInt64LE(length, 30 + name.length + 4);
  zip.writeUInt16LE(8, listed + 10);
  zip.writeBigUInt64LE(length, listed + 46 + name.length + 4);
  return zip;
}
