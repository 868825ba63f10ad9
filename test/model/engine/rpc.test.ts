import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { type Channel, childProcess, type Exit, workerThread } from '../../../model/engine/channel.js';
import { Connection } from '../../../model/engine/rpc.js';
import type { TestMethods } from '../../support/rpc-methods.js';

const script = new URL('../../support/rpc-methods.js', import.meta.url);
const signal = () => new AbortController();

interface FarEnd {
  readonly channel: Channel;
  readonly terminate: () => unknown;
}
const far: Record<'thread' | 'process', (args: readonly string[]) => FarEnd> = {
  thread(args) {
    const worker = new Worker(script, { argv: [...args] });
    return { channel: workerThread(worker), terminate: () => worker.terminate() };
  },
  process(args) {
    const child = fork(fileURLToPath(script), args, { serialization: 'advanced' });
    return { channel: childProcess(child), terminate: () => child.kill('SIGKILL') };
  },
};

/** Guarantees of every connection, whatever its channel. */
describe.each(['thread', 'process'] as const)('a connection with a %s', (kind) => {
  const terminations: (() => unknown)[] = [];
  afterEach(() => Promise.all(terminations.splice(0).map((terminate) => terminate())));

  function connect({ args = [] as readonly string[], onEvent = (_: string): void => {} } = {}) {
    const { channel, terminate } = far[kind](args);
    terminations.push(terminate);
    const exits: Exit[] = [];
    const onExit = (exit: Exit) => {
      exits.push(exit);
      return new Error(`lost: ${exit.status}`);
    };
    return {
      connection: new Connection<TestMethods, string>(channel, { onEvent, onExit }),
      exits,
      terminate,
    };
  }

  it('returns what a method returns', async () => {
    const { connection } = connect();
    expect(await connection.call('add', [1, 2])).toBe(3);
    const sums = [1, 2, 3].map((n) => connection.call('add', [n, n]));
    expect(await Promise.all(sums)).toEqual([2, 4, 6]);
  });

  it('rejects with the code and message of an error at the far end', async () => {
    const { connection } = connect();
    await expect(connection.call('fail', ['bad-tile'])).rejects.toMatchObject({
      name: 'RemoteError',
      code: 'bad-tile',
      message: 'refused',
    });
    await expect(connection.call('fail', [null])).rejects.toMatchObject({
      code: 'internal',
      message: 'an internal error',
    });
  });

  it('rejects when a result or an argument cannot be cloned, and stays usable', async () => {
    const { connection } = connect();
    await expect(connection.call('unclonable', [])).rejects.toMatchObject({ message: 'an internal error' });
    await expect(connection.call('add', [1, (() => 2) as unknown as number])).rejects.toThrow(
      /could not be cloned/,
    );
    expect(await connection.call('add', [1, 2])).toBe(3);
  });

  it('delivers the events of a call in order and before its result', async () => {
    const { connection } = connect();
    const seen: unknown[] = [];
    const counting = connection.call('count', [3], { onEvent: (n) => seen.push(n) });
    await Promise.all([counting.then((value) => seen.push(value)), connection.call('count', [9])]);
    expect(seen).toEqual([0, 1, 2, 'counted']);
  });

  it('delivers events outside of any call', async () => {
    const words: string[] = [];
    const { connection } = connect({ onEvent: (word) => words.push(word) });
    await connection.call('announce', ['hello']);
    expect(words).toEqual(['hello']);
  });

  it('aborts the handler of a call whose signal aborts', async () => {
    const { connection } = connect();
    const { signal: cancelled, abort } = bound(signal());
    const call = connection.call('last', [], { signal: cancelled, onEvent: abort });
    await expect(call).rejects.toMatchObject({ code: 'cancelled', message: 'the call was cancelled' });
    expect(await connection.call('add', [1, 2])).toBe(3);
  });

  it('does not send a call whose signal is already aborted', async () => {
    const { connection } = connect();
    const reason = new Error('too late');
    const call = connection.call('exit', [1], { signal: AbortSignal.abort(reason) });
    await expect(call).rejects.toBe(reason);
    expect(await connection.call('add', [1, 2])).toBe(3);
  });

  it('runs calls one at a time when the far end is serial, and skips those cancelled while queued', async () => {
    const { connection } = connect({ args: ['serial'] });
    const [first, second] = [bound(signal()), bound(signal())];
    const order: string[] = [];
    const began = new Promise<void>((resolve) => {
      const onEvent = () => resolve();
      connection.call('last', [], { signal: first.signal, onEvent }).catch(() => order.push('last'));
    });
    const adding = connection.call('add', [1, 2]).then(() => order.push('add'));
    const never = connection.call('exit', [1], { signal: second.signal });
    await began;
    second.abort();
    first.abort();
    await expect(never).rejects.toMatchObject({ code: 'cancelled' });
    await adding;
    expect(order).toEqual(['last', 'add']);
  });

  it("rejects pending and later calls with its owner's error once the far end has exited", async () => {
    const { connection, exits } = connect();
    const calls = [connection.call('last', []), connection.call('exit', [3])];
    const errors = await Promise.all(calls.map((call) => call.catch((error: Error) => error)));
    expect(errors[0]).toMatchObject({ message: 'lost: exit code 3' });
    expect(errors[1]).toBe(errors[0]);
    await expect(connection.call('add', [1, 2])).rejects.toBe(errors[0]);
    expect(exits).toEqual([{ status: 'exit code 3', error: null }]);
  });

  it('transfers buffers, or copies them when the channel cannot transfer', async () => {
    const { connection } = connect();
    const bytes = Uint8Array.of(1, 2, 3);
    const result = await connection.call('increment', [bytes], { transfer: [bytes.buffer] });
    expect([...result]).toEqual([2, 3, 4]);
    expect(bytes.byteLength).toBe(kind === 'thread' ? 0 : 3);
    expect(await connection.call('isDetached', [])).toBe(kind === 'thread');
  });
});

const bound = (controller: AbortController) => ({
  signal: controller.signal,
  abort: () => controller.abort(new Error('cancelled here')),
});
