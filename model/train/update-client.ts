import { Worker } from 'node:worker_threads';
import { workerThread } from '../channel.js';
import { EngineLostError } from '../errors.js';
import { type CallContext, Connection } from '../rpc.js';
import { buffersOf, type ParameterState, type UpdateRule } from './update.js';

export interface UpdateMethods {
  update(
    parameters: readonly ParameterState[],
    rule: UpdateRule,
    context: CallContext,
  ): Promise<readonly ParameterState[]>;
}

/** The caller of a thread that updates weights: `update-thread.ts`. */
export class UpdateClient {
  readonly #worker = new Worker(new URL('./update-thread.js', import.meta.url));
  readonly #connection = new Connection<UpdateMethods>(workerThread(this.#worker), {
    onExit: ({ error }) =>
      new EngineLostError(
        error ? `the thread that updates weights failed: ${error.message}` : 'the training is closed',
      ),
  });

  /** @param parameters whose arrays own their buffers: these are transferred, and come back in the result */
  update(parameters: readonly ParameterState[], rule: UpdateRule): Promise<readonly ParameterState[]> {
    return this.#connection.call('update', [parameters, rule], { transfer: buffersOf(parameters) });
  }

  async close(): Promise<void> {
    await this.#worker.terminate();
  }
}
