// The first five minutes: the binary alone in an empty folder, nothing configured, and in the end
// a client that is connected by an account made in the browser.
import assert from 'node:assert/strict';
import { readdir, rm, stat } from 'node:fs/promises';
import net from 'node:net';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { openBrowser, PASSWORD, Person, submit } from './lib/browser.mjs';
import { freePorts, start, until } from './lib/process.mjs';
import { bareEnvironment, binary, ready, scratchFolder } from './lib/server.mjs';
import { typescriptDriver } from './lib/typescript.mjs';

const OWNER = { username: 'owner', password: 'a password of some length' };

describe('The first run', () => {
  let folder;
  let env;
  let issuer;
  let server;
  let browser;
  let owner;
  let setupLink;

  before(async () => {
    folder = await scratchFolder('first-run');
    env = bareEnvironment();
    issuer = 'http://localhost:8080';
    if (!(await isFree(8080))) {
      // Somebody else's program has the default port; then these two, and nothing else, are set.
      const [port] = await freePorts(1);
      issuer = `http://localhost:${port}`;
      Object.assign(env, { PORTCULLIS__LISTEN: `127.0.0.1:${port}`, PORTCULLIS__PUBLIC_URL: issuer });
    }
    browser = await openBrowser();
    owner = await Person.at(browser, { issuer, ...OWNER });
  });
  after(async () => {
    await owner?.close();
    await browser?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  async function bringUp() {
    server = start(binary, [], { cwd: folder, env });
    await ready(issuer, server);
  }

  test('starts in an empty folder and says where to go', async () => {
    assert.deepEqual(await readdir(folder), []);
    await bringUp();
    await until('the set-up link on the standard output', () => {
      setupLink = new RegExp(`${issuer}/setup\\?token=[\\w-]+`).exec(server.stdout)?.[0];
      return setupLink;
    });
    assert.ok(server.stdout.includes(`${issuer}/mcp`), `the MCP URL is printed:\n${server.stdout}`);
  });

  test('keeps what it made to itself', async () => {
    const files = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const key = files.find((file) => file.name === 'master.key');
    assert.ok(key, `a master key among ${files.map((file) => file.name)}`);
    const { mode } = await stat(path.join(key.parentPath, key.name));
    assert.equal(mode & 0o777, 0o600);
  });

  test('the set-up link makes the first account and ends at its page', async () => {
    const page = await owner.context.newPage();
    await page.goto(setupLink);
    await page.fill('input[name="username"]', OWNER.username);
    await page.fill('input[name="display_name"]', 'The Owner');
    await page.fill(PASSWORD, OWNER.password);
    await submit(page, () => page.press(PASSWORD, 'Enter'));
    assert.ok(owner.isOurs(page.url()), page.url());
    assert.ok(!page.url().includes('token='), 'the token is gone from the address');
    assert.match(await page.locator('body').innerText(), /The Owner|owner/);
    await page.close();
  });

  test('the landing page shows the address that clients want', async () => {
    const page = await owner.context.newPage();
    await page.goto(`${issuer}/`);
    assert.ok((await page.locator('body').innerText()).includes(`${issuer}/mcp`));
    await page.close();
  });

  test('a client connects with no more than Allow', async () => {
    const Driver = typescriptDriver({
      Client,
      StreamableHTTPClientTransport,
      UnauthorizedError,
      finish: (transport, answer) => transport.finishAuth(answer.get('code')),
    });
    const driver = new Driver({ mcpUrl: `${issuer}/mcp`, visit: (url) => owner.visit(url) });
    try {
      owner.password = 'not asked for: the account page left a session';
      assert.match((await driver.call('whoami', {})).structuredContent.id, /^usr_/);
    } finally {
      await driver.close();
    }
    assert.deepEqual(owner.complaints, []);
  });

  test('the set-up link works once, and is not made again', async () => {
    const page = await owner.context.newPage();
    const response = await page.goto(setupLink);
    assert.ok(response.status() >= 400, `${response.status()}`);
    assert.equal(await page.locator(PASSWORD).count(), 0);
    await page.close();

    await server.stop();
    await bringUp();
    assert.ok(!/setup\?token=/.test(server.stdout), server.stdout);
  });
});

function isFree(port) {
  return new Promise((resolve) => {
    const probe = net.createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}
