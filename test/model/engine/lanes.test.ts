import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { Engine, type EngineOptions } from '../../../model/engine/engine.js';
import type { DeviceState } from '../../../model/engine/lanes.js';
import { openEngine } from '../../../model/engine/open-engine.js';
import { startProcess } from '../../../model/engine/start-lane.js';
import { PLAIN_TRAINING, type TrainerConfig } from '../../../model/train/trainer.js';
import { ON_FAKE_MACHINE } from '../../support/fake-machine.js';
import type { DeviceFault } from '../../support/faulty-device.js';
import { testFolder } from '../../support/files.js';

const MODEL = fileURLToPath(new URL('../../../../models/shapes-notebook/1', import.meta.url));
const TRAINER: TrainerConfig = {
  unet: { channels: [2, 2], inputChannels: 1, classes: 2, seed: 1 },
  ...PLAIN_TRAINING,
};
const use = { output: 'labels', symmetries: false, channels: 1 } as const;

const folder = await testFolder();
const engines: Engine[] = [];
const reported: DeviceState[] = [];

/** Two devices of one thread each, of which one may fail. */
async function open(fault: DeviceFault | null, options: Partial<EngineOptions> = {}): Promise<Engine> {
  process.env.DEVICE_FAULT = JSON.stringify(fault);
  const onDevice = (state: DeviceState) => void reported.push(state);
  const devices = { devices: [0, 1], onDevice };
  const engine = await Engine.open({ provider: 'cpu', threads: 1, ...devices, ...options });
  engines.push(engine);
  return engine;
}

beforeAll(() => void (process.env.NODE_OPTIONS = ON_FAKE_MACHINE));
afterEach(async () => {
  reported.length = 0;
  await Promise.all(engines.splice(0).map((engine) => engine.close()));
});

/** How a call ends that hangs, once its limit has passed. */
async function afterLimit(once: string, call: () => Promise<unknown>): Promise<unknown> {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    const called = call().catch((error: Error) => error);
    while (!existsSync(once)) await new Promise(setImmediate);
    await vi.advanceTimersByTimeAsync(300_000);
    return await called;
  } finally {
    vi.useRealTimers();
  }
}

const tile = () => {
  const data = Uint8Array.from({ length: 32 * 32 }, (_, i) => (i * 7919) % 251);
  return { data, count: 1, width: 32, height: 32, channels: 1 };
};

describe('an engine of two devices', () => {
  it('computes the same labels on each, and in a thread of this process', async () => {
    const engine = await open(null);
    const own = Engine.start({ provider: 'cpu', threads: 1 });
    engines.push(own);
    expect(engine.devices.map(({ name, failure }) => [name, failure])).toEqual([
      ['cpu:0', null],
      ['cpu:1', null],
    ]);
    expect([engine.threads, engine.laneThreads, engine.lanes]).toEqual([2, 1, 2]);
    const [{ id }, here] = await Promise.all([engine.load(MODEL), own.load(MODEL)]);
    const [first, second, third] = await Promise.all([
      engine.predict(id, tile(), 'labels', { lane: 0 }),
      engine.predict(id, tile(), 'labels', { lane: 1 }),
      own.predict(here.id, tile(), 'labels'),
    ]);
    expect(first).toEqual(third);
    expect(second).toEqual(third);
  });

  it('is exact, as tested', async () => {
    const engine = await open(null);
    expect(await engine.tested(await engine.load(MODEL), use)).toMatchObject({ exact: true });
  });
});

describe('a device', () => {
  it('that ends rejects its calls, and can be recovered', async () => {
    const once = join(folder, 'ended');
    const engine = await open({ device: 1, how: 'exit', batch: 1, once });
    const { id } = await engine.load(MODEL);
    const lost = engine.predict(id, tile(), 'labels', { lane: 1 });
    await expect(lost).rejects.toMatchObject({
      code: 'engine-lost',
      message: 'the process of cpu:1 ended (SIGKILL)',
    });
    expect(existsSync(once)).toBe(true);
    await engine.recover(1);
    expect(reported.map(({ name, failure }) => [name, failure])).toEqual([
      ['cpu:1', 'it ended, and is started again'],
      ['cpu:1', null],
    ]);
    expect(await engine.predict(id, tile(), 'labels', { lane: 1 })).toEqual(
      await engine.predict(id, tile(), 'labels', { lane: 0 }),
    );
  });

  it('that hangs can be ended', async () => {
    const once = join(folder, 'hung');
    const engine = await open({ device: 0, how: 'hang', batch: 1, once });
    const { id } = await engine.load(MODEL);
    const lost = expect(engine.predict(id, tile(), 'labels', { lane: 0 })).rejects.toMatchObject({
      code: 'engine-lost',
      message: 'cpu:0: it hung',
    });
    await vi.waitFor(() => expect(existsSync(once)).toBe(true));
    await engine.endDevice(0, 'it hung');
    await lost;
    await engine.recover(0);
    expect(await engine.predict(id, tile(), 'labels', { lane: 0 })).toHaveLength(10 * 10);
  });

  it('that breaks is ended by the first call that it fails, and started again', async () => {
    const once = join(folder, 'broken');
    const engine = await open({ device: 0, how: 'break', once });
    const { id } = await engine.load(MODEL);
    const why = 'it computes nothing any more (CUDA failure 700: an illegal memory access was encountered)';
    const lost = [1, 2].map(() => engine.predict(id, tile(), 'labels', { lane: 0 }));
    expect(await Promise.allSettled(lost)).toMatchObject(
      lost.map(() => ({ reason: { code: 'engine-lost', message: `cpu:0: ${why}` } })),
    );
    await engine.recover(0);
    expect(reported.map(({ failure }) => failure)).toEqual([`${why}, and is started again`, null]);
    expect(await engine.predict(id, tile(), 'labels', { lane: 0 })).toHaveLength(10 * 10);
  });

  it('that breaks while it loads a model loads it once it is back', async () => {
    const once = join(folder, 'broken-load');
    const engine = await open({ device: 0, how: 'break', call: 'load', once }, { devices: [0] });
    const { id } = await engine.load(MODEL);
    expect(await engine.predict(id, tile(), 'labels')).toHaveLength(10 * 10);
    expect(reported).toHaveLength(2);
  });

  it('that breaks ends its training', async () => {
    const once = join(folder, 'broken-training');
    const engine = await open({ device: 0, how: 'break', call: 'snapshot', once }, { devices: [0] });
    const trainee = await engine.train(TRAINER);
    await expect(trainee.snapshot()).rejects.toMatchObject({
      code: 'engine-lost',
      message: expect.stringMatching(/^cpu:0: it computes nothing any more \(CUDA failure 700: /),
    });
  });

  it('that works after an error has none of its own', async () => {
    const engine = await open({ device: 0, how: 'fail' }, { devices: [0] });
    const { id } = await engine.load(MODEL);
    const failed = engine.predict(id, tile(), 'labels');
    await expect(failed).rejects.toMatchObject({ code: 'graph-failed' });
    expect(await engine.predict(id, tile(), 'labels')).toHaveLength(10 * 10);
    expect(reported).toEqual([]);
  });

  it('that is lost between batches is started again by itself', async () => {
    const engine = await open(null);
    const { id } = await engine.load(MODEL);
    await engine.endDevice(0, 'it hung');
    expect(engine.devices.map(({ failure }) => failure)).toEqual(['it hung, and is started again', null]);
    await vi.waitFor(() => expect(engine.devices[0]).toMatchObject({ failure: null }), 20_000);
    expect(engine.lost(0)).toBeNull();
    await engine.recover(0); // for a batch that was lost before: it works, and is not ended
    expect(await engine.predict(id, tile(), 'labels', { lane: 0 })).toHaveLength(10 * 10);
    expect(reported.map(({ failure }) => failure)).toEqual(['it hung, and is started again', null]);
  });

  it('that is the only one is waited for by models that are loaded', async () => {
    const engine = await open(null, { devices: [0] });
    await engine.endDevice(0, 'it hung');
    const { id, environment } = await engine.load(MODEL);
    expect(environment).toEqual(engine.devices[0]!.environment);
    expect(await engine.predict(id, tile(), 'labels')).toHaveLength(10 * 10);
  });

  it('is started again once processes can be started', async () => {
    const engine = await open(null, { devices: [0] });
    process.env.UNSEAM_TEST_ARGUMENTS = 'x'.repeat(2_000_000); // no system starts a process with as much
    try {
      await engine.endDevice(0, 'it hung');
      await vi.waitFor(() => expect(engine.devices).toMatchObject([{ failure: 'spawn E2BIG' }]), 20_000);
    } finally {
      delete process.env.UNSEAM_TEST_ARGUMENTS;
    }
    await engine.recover(0);
    const { id } = await engine.load(MODEL);
    expect(await engine.predict(id, tile(), 'labels')).toHaveLength(10 * 10);
  });

  it('that nothing identifies is the same one when it is started again', async () => {
    process.env.DEVICE_FAULT = 'null';
    const { engine } = await openEngine({ provider: 'cuda', threads: 1, devices: [0] });
    engines.push(engine);
    await engine.endDevice(0, 'it hung');
    await engine.recover(0);
    expect(engine.devices).toMatchObject([{ failure: null, environment: { run: expect.any(String) } }]);
  });

  it('that cannot be ended is abandoned, and started again once it has ended', async () => {
    const once = join(folder, 'stuck');
    const engine = await open({ device: 0, how: 'stuck', once });
    const { id } = await engine.load(MODEL);
    const lost = expect(engine.predict(id, tile(), 'labels', { lane: 0 })).rejects.toMatchObject({
      code: 'engine-lost',
      message: 'cpu:0: it hung',
    });
    await vi.waitFor(() => expect(existsSync(once)).toBe(true), 20_000);
    await engine.endDevice(0, 'it hung');
    await lost;
    expect(engine.devices.map(({ failure }) => failure)).toEqual([
      'its process cannot be ended: the driver waits for the device',
      null,
    ]);
    expect(await engine.predict(id, tile(), 'labels', { lane: 1 })).toHaveLength(10 * 10);
    process.kill(Number(readFileSync(once, 'utf8')), 'SIGKILL');
    await engine.recover(0);
    expect(await engine.predict(id, tile(), 'labels', { lane: 0 })).toHaveLength(10 * 10);
  });

  it.each([
    ['train', (engine: Engine) => engine.train(TRAINER)],
    ['describe', (engine: Engine) => engine.describe(MODEL)],
  ] as const)('that does not return from a call is ended: %s', async (call, begin) => {
    const once = join(folder, call);
    const engine = await open({ device: 0, how: 'hang', call, once }, { devices: [0] });
    expect(await afterLimit(once, () => begin(engine))).toMatchObject({
      code: 'engine-lost',
      message: `cpu:0: it did not return from "${call}" within 300 s`,
    });
  });

  it.each(['unload', 'release'])(
    'that does not return from a call keeps no one waiting: %s',
    async (call) => {
      const once = join(folder, call);
      const engine = await open({ device: 0, how: 'hang', call, once }, { devices: [0], heapMb: 64 });
      const { id } = await engine.load(MODEL);
      engine.limit = 1;
      await engine.predict(id, tile(), 'labels');
      await afterLimit(once, () =>
        call === 'unload' ? engine.unload(id) : engine.predict(id, tile(), 'labels', { symmetries: true }),
      );
      const failure = `it did not return from "${call}" within 300 s, and is started again`;
      await vi.waitFor(() => expect(reported[0]).toMatchObject({ failure }));
    },
  );

  it('that was lost has no network in training any more', async () => {
    const engine = await open(null, { devices: [0] });
    const trainee = await engine.train(TRAINER);
    const id = await trainee.snapshot();
    expect(await engine.predict(id, tile(), 'labels')).toHaveLength(16 * 16);
    await engine.endDevice(0, 'it hung');
    await expect(trainee.snapshot()).rejects.toMatchObject({
      code: 'engine-lost',
      message: 'cpu:0: it hung',
    });
    await engine.recover(0);
    await expect(engine.predict(id, tile(), 'labels')).rejects.toMatchObject({
      code: 'device-unavailable',
      message: 'the device was lost, and with it the network that was trained',
    });
  });

  it('that a model kills is not blamed: the model is refused', async () => {
    const engine = await open({ device: 0, how: 'exit', call: 'load' }, { devices: [0] });
    await expect(engine.load(MODEL)).rejects.toMatchObject({
      code: 'device-killer',
      message: 'a device failed repeatedly with a model: the process of cpu:0 ended (SIGKILL)',
    });
  });

  it('that does not start is reported, and the others compute', async () => {
    const engine = await open({ device: 0, how: 'start' });
    expect(engine.devices).toMatchObject([
      { name: 'cpu:0', environment: null, failure: 'the process of cpu:0 ended (exit code 3)' },
      { name: 'cpu:1', failure: null },
    ]);
    const { id } = await engine.load(MODEL);
    expect(await engine.predict(id, tile(), 'labels', { lane: 1 })).toHaveLength(10 * 10);
  });

  it('that is the only one, and does not start, is an error', async () => {
    const opening = open({ device: 0, how: 'start' }, { devices: [0] });
    await expect(opening).rejects.toMatchObject({
      code: 'device-unavailable',
      message: 'the process of cpu:0 ended (exit code 3)',
    });
  });
});

describe('devices that are lost', () => {
  it('are waited for while another is only being restarted', { timeout: 60_000 }, async () => {
    const engine = await open({ device: 0, how: 'start' });
    let outcome = 'failed to start';
    void engine.recover(0)!.then(
      () => (outcome = 'works'),
      () => (outcome = 'is not waited for'),
    );
    const until = Date.now() + 5500; // three starts fail: after half a second, one and two
    while (Date.now() < until) {
      await engine.endDevice(1, 'it hung');
      await engine.recover(1);
    }
    expect(outcome).toBe('failed to start');
    process.env.DEVICE_FAULT = 'null';
    await expect.poll(() => outcome, { timeout: 30_000 }).toBe('works');
  });
});

describe('the process of a device', () => {
  it('that ends by itself keeps nothing running', async () => {
    process.env.DEVICE_FAULT = JSON.stringify({ device: 0, how: 'start' } satisfies DeviceFault);
    const { connection, end } = startProcess({ provider: 'cpu', threads: 1, lane: 0, device: 0 });
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    await connection.exited;
    const before = timers();
    end(); // by whoever closes it
    expect(timers()).toBe(before);
  });

  it('has nothing of its options on its command line', async () => {
    await open(null, { outcomes: join(folder, 'secret.json') });
    const lists = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n');
    const own = lists.flatMap((line) => /device-process\.js (.*)/.exec(line)?.[1] ?? []);
    expect(own).toEqual(expect.arrayContaining(['cpu:0', 'cpu:1']));
    expect(own.join()).not.toContain('secret');
  });
});
