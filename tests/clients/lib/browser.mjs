// A person at a real Chromium: signs in, allows, and notices what the browser complains about.
// Form fields and buttons are found by their names, never by their words.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM_BIN || ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(existsSync);

export const ALLOW = 'button[name="decision"][value="approve"]';
export const DENY = 'button[name="decision"][value="deny"]';
export const SWITCH = 'button[name="decision"][value="switch"]';
/** The short page of what was allowed before; its buttons have the names of the whole one's. */
export const CONTINUE = 'form.continue button[name="decision"][value="approve"]';
export const PASSWORD = 'input[name="password"]';

/**
 * `hosts` maps names to ports on this machine, so that a callback at a well-known address can be
 * reached without leaving it; every other name fails to resolve.
 */
export async function openBrowser({ hosts = {} } = {}) {
  const rules = [
    ...Object.entries(hosts).map(([host, port]) => `MAP ${host} 127.0.0.1:${port}`),
    'MAP * ~NOTFOUND',
    'EXCLUDE localhost',
    'EXCLUDE 127.0.0.1',
  ];
  return chromium.launch({
    executablePath,
    headless: true,
    timeout: 30_000,
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--ignore-certificate-errors',
      `--host-resolver-rules=${rules.join(', ')}`,
    ],
  });
}

/** One person with a browser profile of their own. */
export class Person {
  constructor(context, { issuer, username, password }) {
    Object.assign(this, { context, issuer, username, password });
    this.visits = 0;
    this.complaints = [];
    this.addresses = [];
    context.on('page', (page) => this.#watch(page));
  }

  static async at(browser, { javaScriptEnabled = true, ...who }) {
    const context = await browser.newContext({ javaScriptEnabled, ignoreHTTPSErrors: true });
    context.setDefaultTimeout(30_000);
    return new Person(context, who);
  }

  // A complaint counts if one of our pages has it: a broken rule of its content security policy,
  // a resource that isn't there.
  #watch(page) {
    page.on('console', (message) => {
      if (this.isOurs(page.url()) && ['error', 'warning'].includes(message.type())) {
        this.complaints.push(`${page.url()}: ${message.text()}`);
      }
    });
    page.on('pageerror', (error) => this.complaints.push(`${page.url()}: ${error.message}`));
    page.on('request', (request) => {
      if (request.isNavigationRequest()) this.addresses.push(request.url());
    });
  }

  isOurs(url) {
    return url.startsWith(`${this.issuer}/`);
  }

  /** Goes where a client sends the browser, and does what a willing person does until it leaves us. */
  async visit(url) {
    if (this.away) throw new Error('nobody is there to sign in');
    this.visits += 1;
    const page = await this.context.newPage();
    await page.goto(String(url));
    await this.finish(page);
    await page.close();
  }

  async finish(page) {
    for (let step = 0; step < 5 && this.isOurs(page.url()); step += 1) {
      if (await page.locator(PASSWORD).count()) await this.signIn(page);
      else if (await page.locator(ALLOW).count()) await submit(page, () => page.click(ALLOW));
      else throw new Error(`nothing to do at ${page.url()}:\n${await page.locator('body').innerText()}`);
    }
    if (this.isOurs(page.url())) throw new Error(`the browser never left us: ${page.url()}`);
  }

  async signIn(page, password = this.password) {
    await page.fill('input[name="username"]', this.username);
    await page.fill(PASSWORD, password);
    await submit(page, () => page.press(PASSWORD, 'Enter'));
  }

  close() {
    return this.context.close();
  }
}

/** Does something that sends a form, and waits until the page it leads to is there. */
export async function submit(page, act) {
  await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), act()]);
}
