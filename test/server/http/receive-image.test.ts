import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import express from 'express';
import { expect, it } from 'vitest';
import { receiveImage } from '../../../server/http/receive-image.js';
import { Transfers } from '../../../server/http/transfers.js';
import { DiskAccount, NO_LIMITS } from '../../../server/storage/disk-account.js';
import { testFolder } from '../../support/files.js';
import { rawSocket } from '../../support/raw.js';

const folder = await testFolder();
const transfers = new Transfers({
  folder,
  places: 1,
  ownerPlaces: 1,
  minFreeBytes: 0,
  account: new DiskAccount(NO_LIMITS),
});

it.each(['image/png', 'multipart/form-data; boundary=b'])(
  'a disconnect before the body is read is an error, and releases the upload slot (%s)',
  async (type) => {
    let settle = (_outcome: unknown) => {};
    const outcome = new Promise<unknown>((resolve) => (settle = resolve));
    const app = express().post('/', async (request) => {
      socket.destroy();
      await new Promise((resolve) => request.once('close', resolve));
      const received = receiveImage(
        request,
        join(folder, 'image'),
        { id: 'a', owner: 'ann' },
        { maxBytes: 1e6, transfers },
      );
      received.then(settle, settle);
    });
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const head = `POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${type}\r\ncontent-length: 1000\r\n\r\n--b`;
    const { socket } = rawSocket(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, head);
    expect(await outcome).toMatchObject({ code: 'cancelled' });
    expect(await transfers.withPlace('ann', async () => 'free')).toBe('free');
    server.close();
  },
);
