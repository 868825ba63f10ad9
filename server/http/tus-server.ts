import type { IncomingMessage } from 'node:http';
import { Server, type ServerOptions } from '@tus/server';
import { maySee } from '../access/principal.js';
import { RequestError } from '../contract/errors.js';
import { METADATA_KEY } from '../contract/operations/uploads.js';
import { principalOf } from './principal.js';
import { UPLOAD_ID, type UploadStore } from './upload-store.js';

/** The codes of tus's own errors, by status; every other 4xx, and 501, is a bad request. */
const CODES: Readonly<Record<number, RequestError['code']>> = {
  404: 'not-found',
  409: 'conflict',
  410: 'not-found',
  412: 'wrong-protocol',
  413: 'too-large',
};

/** The error that tus throws for a missing upload; those of other owners get the same one. */
const NOT_FOUND = { status_code: 404, body: 'The file for this url was not found\n' } as const;

/** A tus server that serves uploads to their owners, and throws its errors, as all other routes do. */
export class TusServer extends Server {
  constructor(
    options: Pick<ServerOptions, 'path' | 'maxSize' | 'relativeLocation' | 'allowedOrigins'> & {
      readonly datastore: UploadStore;
      readonly hidesNames: boolean;
    },
  ) {
    const { hidesNames, ...rest } = options;
    const { datastore } = rest;
    super({
      ...rest,
      // tus would look for it in the whole URL, query included: the checks before it and the audit log use
      // the route.
      getFileIdFromRequest: (request) => nodeOf(request).params?.id,
      onIncomingRequest: async (request, id) => {
        const owner = UPLOAD_ID.test(id) ? await datastore.records.ownerOf(id) : null;
        const isNew = request.method === 'POST' && owner === null;
        if (!isNew && (owner === null || !maySee(callerOf(request), owner))) throw NOT_FOUND;
      },
      onUploadCreate: async (request, upload) => {
        checkKeys(upload.metadata ?? {});
        datastore.records.setOwner(upload, callerOf(request).id);
        if (hidesNames) upload.metadata = undefined;
        return {};
      },
      onResponseError: (_request, error) => {
        throw 'status_code' in error ? errorOf(error.status_code, error.body) : error;
      },
    });
  }

  override write(...response: Parameters<Server['write']>): ReturnType<Server['write']> {
    const [, , status, body = ''] = response;
    if (status >= 400) throw errorOf(status, body);
    return super.write(...response);
  }
}

const KEY = new RegExp(`^${METADATA_KEY}$`);

/** Refuses keys of metadata that tus takes although its protocol does not have them, such as with a tab. */
function checkKeys(metadata: object): void {
  if (Object.keys(metadata).every((key) => KEY.test(key))) return;
  throw { status_code: 400, body: 'a key in Upload-Metadata is not of visible ASCII characters' };
}

/** An error response of tus, as an error; 500 is one that tus did not expect. */
const errorOf = (status: number, body: string): Error =>
  status < 500 || status === 501
    ? new RequestError(CODES[status] ?? 'bad-request', body.trim())
    : new Error(body);

type TusRequest = Parameters<NonNullable<ServerOptions['onUploadCreate']>>[0];

/** The request that tus has wrapped. */
const nodeOf = (request: TusRequest) =>
  request.runtime?.node?.req as unknown as IncomingMessage & { readonly params?: { readonly id?: string } };

const callerOf = (request: TusRequest) => principalOf(nodeOf(request));
