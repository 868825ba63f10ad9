import { parentPort } from 'node:worker_threads';
import { parentThread } from '../channel.js';
import { serve } from '../rpc.js';
import { buffersOf, update } from './update.js';
import type { UpdateMethods } from './update-client.js';

/** The thread of an `UpdateClient`. */

const methods: UpdateMethods = {
  async update(parameters, rule, { transfer }) {
    for (const each of parameters) update(each, rule);
    transfer(...buffersOf(parameters));
    return parameters;
  },
};

serve(parentThread(parentPort!), methods, {
  failureOf: (error) => ({ code: 'engine-failed', message: (error as Error).message }),
});
