import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningServer } from '../../../server/serve.js';
import { testFolder } from '../../support/files.js';
import { MODELS, testServer, unseamHere } from '../../support/product.js';
import { writeTestTiff } from '../../support/tiff.js';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
);
/** Folder of the screenshots; without it none are saved. */
const SHOTS = join('out', 'screenshots');

const folder = await testFolder();
let server: RunningServer;
let browser: Browser;
let page: Page;
const complaints: string[] = [];

describe.skipIf(CHROMIUM === undefined)('the page, in a browser', () => {
  beforeAll(async () => {
    await unseamHere(['samples', '-o', folder, '-s', '2200x1600']);
    server = await testServer(join(folder, 'data'), { models: MODELS });
    browser = await chromium.launch({
      executablePath: CHROMIUM!,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
      ],
    });
    page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      if (!request.url().startsWith(server.url) && !/^(data|blob):/.test(request.url()))
        complaints.push(request.url());
    });
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  const shot = (name: string) => page.screenshot({ path: join(SHOTS, `${name}.png`), caret: 'initial' });
  const image = () => join(folder, 'images', 'shapes-0001.png');
  const state = () => page.locator('#state').textContent();
  /** Pixels of the viewer that are neither gray nor background: these slides are gray, masks are coloured. */
  const coloured = () =>
    page.evaluate<number>(`(() => {
      const canvas = document.querySelector('#viewer canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      let count = 0;
      for (let i = 0; i < data.length; i += 4) {
        const rgb = [data[i], data[i + 1], data[i + 2]];
        if (Math.max(...rgb) - Math.min(...rgb) > 30) count++;
      }
      return count;
    })()`);

  /** Aspect ratio of the area that the viewer draws: that of the slide, unless a part of it is out of view. */
  const drawn = () =>
    page.evaluate<number>(`(() => {
      const canvas = document.querySelector('#viewer canvas');
      const { width, height } = canvas;
      const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
      let [left, top, right, bottom] = [width, height, 0, 0];
      for (let y = 0; y < height; y++)
        for (let x = 0; x < width; x++)
          if (data[4 * (y * width + x) + 3] > 0) {
            [left, top] = [Math.min(left, x), Math.min(top, y)];
            [right, bottom] = [Math.max(right, x + 1), Math.max(bottom, y + 1)];
          }
      return (right - left) / (bottom - top);
    })()`);

  it('accepts a slide, and shows its mask while it is computed and when it is complete', async () => {
    await page.goto(server.url);
    await page.selectOption('#model', 'shapes');
    await page.setInputFiles('#file', image());
    await page.waitForURL(/#job=/);
    await expect.poll(state, { timeout: 30_000 }).toMatch(/^\d+ %: \d+ of \d+ tiles/);
    await expect.poll(coloured, { timeout: 30_000 }).toBeGreaterThan(100);
    await shot('half-done');
    await expect.poll(state, { timeout: 120_000 }).toBe('succeeded');
    await expect.poll(coloured).toBeGreaterThan(1000);
    const legend = await page.locator('#legend').innerText();
    expect(legend).toMatch(/triangle\s+\d+\.\d+ %\s+[\d,]+ px/);
    await page.click('#full');
    await expect.poll(() => page.locator('#zoom').textContent()).toBe('1.0 : 1');
    await shot('full-zoom');
    // Opacity 0 shows only the slide.
    await page.fill('#opacity', '0');
    await expect.poll(coloured).toBe(0);
    await page.fill('#opacity', '55');
    await page.click('#home');
    await shot('done');
  });

  it('opens with the whole slide in view, and keeps it there when the window changes', async () => {
    for (const viewport of [
      { width: 1440, height: 900 },
      { width: 800, height: 1000 },
    ]) {
      await page.setViewportSize(viewport);
      await expect.poll(drawn, { message: JSON.stringify(viewport) }).toBeCloseTo(2200 / 1600, 1);
    }
    await page.setViewportSize({ width: 1440, height: 900 });
    await page.reload();
    await expect.poll(drawn).toBeCloseTo(2200 / 1600, 1);
    await shot('wide');
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  it('downloads the requested outputs', async () => {
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Regions, GeoJSON for QuPath' }).click(),
    ]);
    expect(download.suggestedFilename()).toBe('shapes-0001-geojson.geojson');
    const { features } = JSON.parse(await readFile(await download.path(), 'utf8'));
    expect(features.length).toBeGreaterThan(5);
  });

  it('cancels jobs by keyboard, and lists the jobs', async () => {
    await page.selectOption('#model', 'em-membrane');
    await page.setInputFiles('#file', image());
    await expect.poll(state, { timeout: 30_000 }).toMatch(/tiles/);
    await page.focus('#cancel');
    await page.keyboard.press('Enter');
    await expect.poll(state, { timeout: 30_000 }).toBe('cancelled');
    await expect
      .poll(() => page.locator('#jobs').innerText())
      .toMatch(/shapes-0001.png\s+cancelled[\s\S]*shapes-0001.png\s+succeeded/);
    expect(await page.locator('#jobs li').count()).toBe(2);
    await shot('list');
    await page.click('#remove');
    await expect.poll(() => page.locator('#jobs li').count()).toBe(1);
  });

  it('reports the problem with a file', async () => {
    await page.setInputFiles('#file', {
      name: 'notes.txt',
      mimeType: 'text/plain',
      buffer: Buffer.from('hello'),
    });
    await expect
      .poll(() => page.locator('#refused').textContent())
      .toMatch(/^notes.txt: these bytes are not a supported image/);
    await shot('error');
    const cut = (await readFile(image())).subarray(0, 40_000);
    await page.setInputFiles('#file', { name: 'cut.png', mimeType: 'image/png', buffer: cut });
    await expect.poll(() => page.locator('#failure').textContent()).toMatch(/corrupt-image/);
    expect(await page.locator('#tools').isVisible()).toBe(false);
    await shot('failed');
  });

  it('segments the planes of a stack that it is told, and shows the one that is chosen', async () => {
    const path = join(folder, 'stack.tif');
    const planes = [0, 60, 120].map((value) => {
      const data = new Uint8Array(300 * 200).map((_, i) =>
        i % 300 > 100 && i % 300 < 200 ? 255 - value : value,
      );
      return { data, width: 300, height: 200, channels: 1 };
    });
    await writeTestTiff(path, planes, { compression: 8 });
    const requested: string[] = [];
    page.on('request', (request) => requested.push(request.url()));
    await page.click('summary:has-text("Stacks and channels")');
    await page.fill('#planes', '1-2');
    await page.selectOption('#model', 'shapes');
    await page.setInputFiles('#file', path);
    await expect.poll(state, { timeout: 60_000 }).toBe('succeeded');
    expect(await page.locator('#title').textContent()).toBe('stack.tif: 300 × 200 px in 2 planes');
    expect([await page.locator('#at-z').isVisible(), await page.locator('#at-t').isVisible()]).toEqual([
      true,
      false,
    ]);
    expect(await page.locator('#z-index').textContent()).toBe('1');
    await page.focus('#z');
    await page.keyboard.press('ArrowRight');
    await expect.poll(() => page.locator('#z-index').textContent()).toBe('2');
    for (const layer of ['image', 'mask']) {
      await expect.poll(() => requested.join('\n')).toMatch(new RegExp(`${layer}_files/.*z=2&t=0`));
    }
    expect(await page.locator('#downloads').innerText()).not.toMatch(/PNG/);
    await shot('stack');
    await page.fill('#planes', '');
    await page.click('#remove');
  });

  it('shows the models with their cards and curves', async () => {
    await page.getByRole('link', { name: 'Models' }).click();
    await expect
      .poll(() => page.locator('#models').innerText())
      .toMatch(/em-membrane, version 1[\s\S]*Scores/);
    await expect.poll(() => page.locator('#models img').count()).toBeGreaterThan(0);
    await shot('models');
  });

  it('fits into a narrow window', async () => {
    await page.setViewportSize({ width: 380, height: 800 });
    await page.goto(`${server.url}/#jobs`);
    await page.locator('#jobs a').last().click();
    await page.locator('#legend td').first().waitFor();
    const wider = await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth');
    expect(wider).toBeLessThanOrEqual(0);
    await shot('narrow');
  });

  it('sends no request to other hosts, and violates no content security policy', async () => {
    const policy = (await fetch(server.url)).headers.get('content-security-policy')!;
    expect(policy).toMatch(/default-src 'none'; script-src 'self'/);
    expect(policy).not.toMatch(/unsafe/);
    // Some of these tests provoke 4xx responses, which the browser logs.
    expect(complaints.filter((text) => !/status of 4\d\d|Tile %s failed to load/.test(text))).toEqual([]);
  });
});
