import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TokenStore } from '../../../server/access/token-store.js';
import { type FakeServer, fakeImage, fakeServer } from '../../support/fake-server.js';
import { testFolder } from '../../support/files.js';
import { bearer, makeToken } from '../../support/tokens.js';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
);
const SHOTS = join('out', 'screenshots');
const data = join(await testFolder(), 'data');
let server: FakeServer;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let ada: string;
const addresses: string[] = [];

describe.skipIf(CHROMIUM === undefined)('the page of a server that needs tokens, in a browser', () => {
  beforeAll(async () => {
    ada = await makeToken(data, 'Ada Lovelace', ['segment']);
    server = await fakeServer(data);
    await fetch(`${server.url}/v1/jobs?model=shapes`, {
      method: 'POST',
      headers: bearer(ada),
      body: new Uint8Array(fakeImage(40, 30)),
    });
    browser = await chromium.launch({ executablePath: CHROMIUM!, args: ['--no-sandbox', '--disable-gpu'] });
    context = await browser.newContext({ viewport: { width: 1280, height: 700 } });
    page = await context.newPage();
    page.on('request', (request) => addresses.push(request.url()));
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  const jobs = () => page.locator('#jobs li').count();
  async function signIn(token: string): Promise<void> {
    await page.fill('#token', token);
    await page.click('#sign-in button');
  }

  it('shows nothing but the form, and says what is wrong with a token', async () => {
    await page.goto(server.url);
    await page.waitForSelector('#sign-in:not([hidden])');
    expect(await page.locator('#main').isVisible()).toBe(false);
    await page.screenshot({ path: join(SHOTS, 'sign-in.png') });
    await signIn(`${ada.slice(0, -3)}xyz`);
    await page.waitForSelector('#sign-in-refused:not([hidden])');
    expect(await page.textContent('#sign-in-refused')).toMatch(/no such token/);
    expect(await page.inputValue('#token')).toBe('');
  });

  it('signs in, and shows who is signed in, and only their slides', async () => {
    await signIn(ada);
    await page.waitForSelector('#account:not([hidden])');
    expect(await page.textContent('#who')).toBe('Ada Lovelace');
    await expect.poll(jobs).toBe(1);
    await page.screenshot({ path: join(SHOTS, 'signed-in.png') });
  });

  it('keeps the token where no script and no address has it, until the browser is closed', async () => {
    const [cookie, ...others] = await context.cookies();
    expect(others).toEqual([]);
    expect(cookie).toMatchObject({
      name: 'unseam',
      value: ada,
      httpOnly: true,
      sameSite: 'Strict',
      expires: -1,
    });
    const seen = await page.evaluate<string>(
      `JSON.stringify([document.cookie, { ...localStorage }, { ...sessionStorage }, location.href, history.state, document.documentElement.outerHTML])`,
    );
    for (const text of [seen, ...addresses]) expect(text).not.toContain(ada.slice(20));
    await page.reload();
    await expect.poll(jobs).toBe(1);
  });

  it('uploads a slide, and follows its job, with the cookie alone', async () => {
    await page.setInputFiles('#file', {
      name: 'slide.png',
      mimeType: 'image/png',
      buffer: fakeImage(64, 64),
    });
    await expect.poll(jobs).toBe(2);
    await expect.poll(() => page.textContent('#title')).toMatch(/^slide\.png/);
    expect((await page.goto(`${server.url}/metrics`))!.status()).toBe(200);
    await page.goBack();
  });

  it('asks again once the token is revoked, and shows nothing meanwhile', async () => {
    await page.goto(server.url);
    await expect.poll(jobs).toBe(2);
    const store = new TokenStore(data);
    const {
      tokens: [token],
    } = await store.list();
    await store.revoke(token!.id);
    await page.waitForSelector('#sign-in:not([hidden])', { timeout: 10_000 });
    expect(await page.locator('#main').isVisible()).toBe(false);
  });

  it('signs out; a reader sees no form to send slides', async () => {
    await signIn(await makeToken(data, 'Reader', ['read']));
    await page.waitForSelector('#account:not([hidden])');
    // Nothing stays of who was there before.
    expect(await page.content()).not.toMatch(/slide\.png|Ada/);
    expect([await page.locator('#send').isVisible(), await page.textContent('#who')]).toEqual([
      false,
      'Reader',
    ]);
    await page.click('#sign-out');
    await page.waitForSelector('#sign-in:not([hidden])');
    expect(await context.cookies()).toEqual([]);
  });
});
