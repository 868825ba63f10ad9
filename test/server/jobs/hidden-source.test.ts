import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { withoutNamesOf } from '../../../server/jobs/hidden-source.js';
import type { JobRecord } from '../../../server/jobs/job.js';
import { fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';

const folder = await testFolder();
const NAME = 'ward-3/Mustermann.tif';
const text = `/mnt/${NAME} has no resolution; Mustermann is damaged`;

it('a record has no name of its image, whatever was written into it', () => {
  const detail = { code: 'corrupt-image', detail: text };
  const record = {
    source: { kind: 'path', path: `/mnt/${NAME}`, name: NAME },
    request: { background: null },
    error: detail,
    pause: { ...detail, since: '2026-05-04T09:30:00.000Z' },
    receipt: { exact: true, warnings: [text, 'the image is small'] },
  } as unknown as JobRecord;
  const hidden = withoutNamesOf(record);
  expect(JSON.stringify(hidden)).not.toContain('Mustermann');
  expect(hidden.error?.detail).toBe('hidden has no resolution; hidden is damaged');
  expect(hidden.receipt).toMatchObject({ exact: true, warnings: [expect.anything(), 'the image is small'] });
  expect(hidden).toMatchObject({ pause: { detail: hidden.error!.detail }, source: { path: 'hidden' } });
  const none = { ...record, error: null, pause: null, receipt: null };
  expect(withoutNamesOf(none)).toMatchObject({ error: null, pause: null, receipt: null });
});

it('a server with --private-names hides what one without has written', async () => {
  const data = join(folder, 'data');
  await writeFile(join(folder, 'mustermann.png'), fakeImage(8, 8));
  const first = await fakeServer(data, { slides: folder });
  const made = await fetch(`${first.url}/v1/jobs`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ source: { path: 'mustermann.png' }, model: 'shapes' }),
  });
  const { id } = (await made.json()) as { id: string };
  await expect.poll(async () => (await fetch(`${first.url}/v1/jobs/${id}/result`)).status).toBe(200);
  await first.close();
  const path = join(data, 'jobs', id, 'job.json');
  const record = JSON.parse(await readFile(path, 'utf8')) as JobRecord;
  const warned = { ...record, receipt: { ...record.receipt, warnings: ['mustermann.png is small'] } };
  await writeFile(path, JSON.stringify(warned));
  const second = await fakeServer(data, { slides: folder, privateNames: true });
  const shown = await fetch(`${second.url}/v1/jobs/${id}`).then((response) => response.text());
  expect(JSON.parse(shown)).toMatchObject({ receipt: { warnings: ['hidden is small'] } });
  expect(shown).not.toContain('mustermann');
  await second.close();
});
