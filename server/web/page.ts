import { type Job, type Model, type ModelList, ProblemError, Unseam } from '../../client/index.js';
import { Account } from './account.js';
import { byId } from './by-id.js';
import { nameOf, size, stateOf } from './format.js';
import { showJob } from './job-view.js';
import { showModels } from './models-view.js';
import { PlaneChooser } from './plane-chooser.js';
import { Stage } from './stage.js';

/** Jobs that the list shows at first, and that `Show more` adds. */
const PAGE_SIZE = 30;

const account = new Account();
const unseam = new Unseam({ fetch: account.fetch });
let models: readonly Model[] = [];
let unreadable: ModelList['unreadable'] = [];
let selected: string | null = null;
let following = new AbortController();
let listSize = PAGE_SIZE;
const stage = new Stage(byId('viewer'), (zoom) => {
  byId('zoom').textContent = zoom >= 0.995 ? `${zoom.toFixed(1)} : 1` : `1 : ${(1 / zoom).toFixed(1)}`;
});

const planes = new PlaneChooser((plane) => stage.showPlane(plane));

/** Shows what the URL's fragment names: a job, or the models. */
async function route(): Promise<void> {
  const [, id] = /^#job=([\w-]+)$/.exec(location.hash) ?? [];
  const onModels = location.hash === '#models';
  byId('models').hidden = !onModels;
  byId('job').hidden = onModels || id === undefined;
  byId('empty').hidden = onModels || id !== undefined;
  if (onModels) showModels(byId('models'), models, unreadable);
  if (id !== selected) follow(id ?? null);
  await list();
}

/** Shows a job as it changes; a broken connection is opened again, for as long as the job is shown. */
function follow(id: string | null): void {
  following.abort();
  following = new AbortController();
  selected = id;
  if (id === null) stage.close();
  else void showChanges(id, following.signal).catch(showFailure);
}

async function showChanges(id: string, signal: AbortSignal): Promise<void> {
  let state: Job['state'] | null = null;
  try {
    for await (const job of unseam.jobs.follow(id, { signal, retries: Number.POSITIVE_INFINITY })) {
      if (signal.aborted) return;
      showJob(job, models);
      planes.show(job);
      stage.show(job, planes.plane);
      if (job.state !== state) void list();
      ({ state } = job);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

function showFailure(error: Error): void {
  const failure = byId('failure');
  failure.hidden = false;
  failure.textContent = error.message;
}

/** Shows the newest jobs. */
async function list(): Promise<void> {
  const { jobs, total } = await unseam.jobs.list({ limit: listSize });
  byId('jobs').replaceChildren(
    ...jobs.map((job) => {
      const link = document.createElement('a');
      link.href = `#job=${job.id}`;
      link.setAttribute('aria-current', String(job.id === selected));
      const name = Object.assign(document.createElement('span'), {
        className: 'name',
        textContent: nameOf(job),
      });
      const state = Object.assign(document.createElement('span'), {
        className: job.state,
        textContent: shortState(job),
      });
      const what = Object.assign(document.createElement('span'), {
        className: 'what',
        textContent: `${size(job)}, ${job.model}, ${new Date(job.createdAt).toLocaleString()}`,
      });
      link.append(name, state, what);
      const item = document.createElement('li');
      item.append(link);
      return item;
    }),
  );
  byId('more').hidden = jobs.length >= total;
}

const shortState = (job: Job): string =>
  job.state === 'running' ? (stateOf(job).split(':')[0] ?? '') : job.state;

/** Uploads a file, submits a job of it, and shows the job. */
async function send(file: File): Promise<void> {
  const [sending, refused, step] = [byId('sending'), byId('refused'), byId('sending-step')];
  const stop = new AbortController();
  refused.hidden = true;
  sending.hidden = false;
  step.textContent = `uploading ${file.name}`;
  byId('stop').onclick = () => stop.abort();
  let address: string | null = null;
  try {
    address = await unseam.uploads.create(file, { name: file.name, signal: stop.signal });
    await unseam.uploads.send(file, {
      resume: address,
      signal: stop.signal,
      onProgress: (bytes) => {
        byId<HTMLProgressElement>('sent').value = bytes / file.size;
      },
    });
    step.textContent = 'reading the header';
    const job = await unseam.jobs.create({
      source: { upload: address },
      model: byId<HTMLSelectElement>('model').value,
      priority: byId<HTMLSelectElement>('priority').value as Job['priority'],
      ...chosen('planes', 'z'),
      ...chosen('times', 't'),
      ...chosen('channels', 'channels'),
      ...(byId<HTMLInputElement>('scale').checked && { mpp: 'auto' }),
      ...(byId<HTMLInputElement>('background').checked && { 'skip-background': true }),
    });
    location.hash = `#job=${job.id}`;
  } catch (error) {
    if (address !== null) void unseam.uploads.delete(address).catch(() => undefined); // retained for another try
    refused.hidden = stop.signal.aborted;
    refused.textContent =
      error instanceof ProblemError
        ? `${file.name}: ${error.message}`
        : `${file.name}: cannot reach the server`;
  } finally {
    sending.hidden = true;
    byId<HTMLInputElement>('file').value = '';
  }
}

/** What a field of the form says of a parameter; nothing where it is empty. */
function chosen(field: string, parameter: 'z' | 't' | 'channels'): { readonly [name: string]: string } {
  const value = byId<HTMLInputElement>(field).value.replaceAll(' ', '');
  return value === '' ? {} : { [parameter]: value };
}

function wire(): void {
  const [drop, file] = [byId('drop'), byId<HTMLInputElement>('file')];
  file.addEventListener('change', () => file.files?.[0] && void send(file.files[0]));
  for (const type of ['dragover', 'dragleave', 'drop'] as const) {
    document.body.addEventListener(type, (event) => {
      event.preventDefault();
      drop.classList.toggle('over', type === 'dragover');
      const dropped = type === 'drop' ? event.dataTransfer?.files[0] : undefined;
      if (dropped) void send(dropped);
    });
  }
  byId('cancel').addEventListener(
    'click',
    () => selected && void unseam.jobs.delete(selected).catch(showFailure),
  );
  byId('resume').addEventListener(
    'click',
    () => selected && void unseam.jobs.resume(selected).catch(showFailure),
  );
  byId('remove').addEventListener('click', () => {
    if (!selected) return;
    void unseam.jobs.delete(selected).then(() => {
      location.hash = '#jobs';
    }, showFailure);
  });
  byId('more').addEventListener('click', () => {
    listSize += PAGE_SIZE;
    void list();
  });
  byId('in').addEventListener('click', () => stage.zoomBy(1.5));
  byId('out').addEventListener('click', () => stage.zoomBy(1 / 1.5));
  byId('home').addEventListener('click', () => stage.home());
  byId('full').addEventListener('click', () => stage.full());
  byId<HTMLInputElement>('opacity').addEventListener('input', ({ target }) =>
    stage.setOpacity(Number((target as HTMLInputElement).value) / 100),
  );
  addEventListener('hashchange', () => void route());
  setInterval(() => {
    if (!byId('main').hidden) void list().catch(() => undefined);
  }, 5000);
}

await account.open();
({ models, unreadable } = await unseam.models());
const names = models.flatMap(({ name, quantised }) => [name, ...quantised]);
byId('model').replaceChildren(...names.map((name) => new Option(name, name)));
wire();
await route();
