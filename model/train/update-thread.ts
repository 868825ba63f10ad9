import { Worker } from 'node:worker_threads';
import { workerThread } from '../channel.js';
import { EngineLostError } from '../errors.js';
import { type CallContext, Connection } from '../rpc.js';
import { buffersOf, type Parameters, type Rule } from './update.js';

export interface UpdateMethods {
  update(parameters: readonly Parameters[], rule: Rule, context: CallContext): Promise<readonly Parameters[]>;
}

/** A thread that updates parameters. */
export class UpdateThread {
  readonly #worker = new Worker(new URL('./update-worker.js', import.meta.url));
  readonly #connection = new Connection<UpdateMethods>(workerThread(this.#worker), {
    onExit: ({ error }) =>
      new EngineLostError(
        error ? `the thread that updates weights failed: ${error.message}` : 'the training is closed',
      ),
  });

  /** @param parameters whose arrays own their buffers: they are moved, and the result has them */
  update(parameters: readonly Parameters[], rule: Rule): Promise<readonly Parameters[]> {
    return this.#connection.call('update', [parameters, rule], { transfer: buffersOf(parameters) });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
