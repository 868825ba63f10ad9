import { type RequestExpectation, type RequestMutator, request, sendAndWait } from './request-parts.js';

/** A request of the tus protocol that is invalid or unusual. */
export const tus: RequestMutator = (targets, random) => {
  const { image } = targets;
  const version = 'Tus-Resumable: 1.0.0';
  const create = (what: string, headers: string[], expect: RequestExpectation, body: Buffer | string = '') =>
    sendAndWait(
      `tus: ${what}`,
      request(targets, { method: 'POST', path: '/v1/uploads', headers, body }),
      expect,
    );
  const unknown = `/v1/uploads/${random.bytes(16).toString('hex')}`;
  switch (random.below(8)) {
    case 0: {
      const length = random.pick([
        '-1',
        'x',
        '1e9',
        '99999999999999999999',
        '',
        '0x10',
        '1.5',
        String(2 ** 53),
      ]);
      return create(`Upload-Length ${length}`, [version, `Upload-Length: ${length}`], 'refused');
    }
    case 1:
      return create('without a version', ['Upload-Length: 10'], 'refused');
    case 2: {
      const metadata = random.pick([
        'filename',
        'filename !!!',
        'filename ,',
        ',,,',
        'filename eA==,filename eA==',
        `filename ${'QUFB'.repeat(2000)}`,
        'filename Li4vLi4vZXRj',
      ]);
      return create(
        `Upload-Metadata ${metadata.slice(0, 24)}`,
        [version, 'Upload-Length: 10', `Upload-Metadata: ${metadata}`],
        'either',
      );
    }
    case 3:
      return create(
        'with its bytes',
        [version, `Upload-Length: ${image.length}`, 'Content-Type: application/offset+octet-stream'],
        'served',
        image,
      );
    case 4:
      return create(
        'with more bytes than it says',
        [version, 'Upload-Length: 10', 'Content-Type: application/offset+octet-stream'],
        'either',
        image,
      );
    case 5: {
      const verb = random.pick(['HEAD', 'PATCH', 'DELETE', 'GET']);
      const parts = {
        method: verb,
        path: unknown,
        headers: [version, 'Upload-Offset: 0', 'Content-Type: application/offset+octet-stream'],
        ...(verb === 'PATCH' && { body: 'x' }),
      };
      return sendAndWait(
        `tus: ${verb} of an unknown upload`,
        request(targets, parts),
        'refused',
        verb === 'HEAD',
      );
    }
    case 6: {
      const odd = random.pick([
        '/v1/uploads/..%2f..%2fjobs',
        '/v1/uploads/../jobs/x',
        '/v1/uploads/%00',
        '/v1/uploads/.',
        `/v1/uploads/${'a'.repeat(5000)}`,
      ]);
      return sendAndWait(
        `tus: PATCH ${odd.slice(0, 30)}`,
        request(targets, {
          method: 'PATCH',
          path: odd,
          headers: [version, 'Upload-Offset: 0', 'Content-Type: application/offset+octet-stream'],
          body: 'x',
        }),
        'refused',
      );
    }
    default: {
      const header = random.pick([
        'Upload-Defer-Length: 2',
        'Upload-Defer-Length: 1\r\nUpload-Length: 5',
        'Upload-Concat: final;/v1/uploads/x',
        'X-Nothing: 1',
      ]);
      return create(header, [version, header], 'refused');
    }
  }
};
