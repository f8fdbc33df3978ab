// The pages between a client's authorization URL and its callback, in a real Chromium.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { InvalidGrantError } from '@modelcontextprotocol/sdk/server/auth/errors.js';
import { ALLOW, CONTINUE, DENY, openBrowser, PASSWORD, Person, submit, SWITCH } from './lib/browser.mjs';
import { certificate, listenForCallback } from './lib/callback.mjs';
import { connector } from './lib/connector.mjs';
import { until } from './lib/process.mjs';
import { deploy, deployment } from './lib/server.mjs';

const ALICE = { username: 'alice', password: 'correct horse battery staple' };
const BOB = { username: 'bob', password: 'a different kind of staple' };

// Where the hosted clients want the browser to go. The names lead to this machine here.
const HOSTED = {
  ChatGPT: 'https://chatgpt.com/connector_platform_oauth_redirect',
  'Claude.ai': 'https://claude.ai/api/mcp/auth_callback',
  Cursor: 'https://www.cursor.com/agents/mcp/oauth/callback',
  Insomnia: 'https://app.insomnia.rest/oauth/redirect',
  'VS Code': 'https://vscode.dev/redirect',
};

const CUSTOM = {
  Cursor: 'cursor://anysphere.cursor-mcp/oauth/callback',
  'VS Code': 'vscode://example.extension/callback',
};

describe(`The pages on ${deployment}`, () => {
  let server;
  let browser;
  let loopback;
  let hosted;
  let alice;
  let bob;

  before(async () => {
    const names = Object.values(HOSTED).map((url) => new URL(url).host);
    hosted = {};
    const tls = await certificate(...names);
    for (const url of Object.values(HOSTED)) hosted[url] = await listenForCallback({ pathname: new URL(url).pathname, tls });
    browser = await openBrowser({
      hosts: Object.fromEntries(Object.entries(hosted).map(([url, { port }]) => [new URL(url).host, port])),
    });
    loopback = await listenForCallback();
    // A minute of these tests is more browsing than a person does.
    server = await deploy({ settings: { PORTCULLIS__LIMITS__AUTHORIZE_PER_MINUTE: '10000' } });
    await server.addUser(ALICE.username, ALICE.password);
    await server.addUser(BOB.username, BOB.password);
  });
  after(async () => {
    await browser?.close();
    await loopback?.close();
    await Promise.all(Object.values(hosted).map((listener) => listener.close()));
    await server?.stop();
  });
  beforeEach(async () => {
    alice = await Person.at(browser, { issuer: server.issuer, ...ALICE });
    bob = undefined;
  });
  afterEach(async () => {
    const people = [alice, bob].filter(Boolean);
    const complaints = people.flatMap((person) => person.complaints);
    const addresses = people.flatMap((person) => person.addresses).filter((url) => alice.isOurs(url));
    await Promise.all(people.map((person) => person.close()));
    assert.deepEqual(complaints, [], 'the browser complained');
    // A client that watches a window for its answer takes any address with these for it.
    assert.deepEqual(addresses.filter((url) => /[?&](code|error)=/.test(url)), [], 'an address of ours looks like an answer');
  });

  // From the authorization URL to the consent page.
  async function toConsent(person, url) {
    const page = await person.context.newPage();
    await page.goto(url);
    if (await page.locator(PASSWORD).count()) await person.signIn(page);
    await page.waitForSelector(ALLOW);
    return page;
  }

  async function works(attempt, answer) {
    assert.equal(answer.get('state'), attempt.state, 'state, byte for byte');
    assert.deepEqual(answer.getAll('iss'), [server.issuer]);
    assert.equal(answer.getAll('code').length, 1);
    const tokens = await attempt.redeem(answer);
    return resultOf(await callTool(tokens, 'whoami', {}));
  }

  async function resultOf(response) {
    const text = await response.text();
    assert.equal(response.status, 200, text);
    const message = JSON.parse(text.startsWith('{') ? text : /^data: (\{.*)$/m.exec(text)[1]);
    return message.result.structuredContent;
  }

  function callTool({ access_token: token }, name, args) {
    return fetch(server.mcpUrl, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        'mcp-protocol-version': '2025-11-25',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } }),
    });
  }

  test('Allow reaches a loopback http address', async () => {
    const attempt = await (await connector(server, loopback.url)).attempt();
    const answer = await loopback.during(() => alice.visit(attempt.url));
    await works(attempt, answer);
    assert.equal(answer.referer, undefined, 'no Referer leaves us');
    const cookies = await alice.context.cookies(server.issuer);
    assert.ok(cookies.length > 0);
    for (const cookie of cookies) {
      assert.ok(cookie.httpOnly && cookie.sameSite === 'Lax', `${cookie.name}: HttpOnly, SameSite=Lax`);
    }
  });

  test('Allow reaches an https address on this machine', async () => {
    const listener = await listenForCallback({ pathname: '/cb', tls: await certificate() });
    try {
      const attempt = await (await connector(server, listener.url)).attempt();
      const answer = await listener.during(() => alice.visit(attempt.url));
      await works(attempt, answer);
    } finally {
      await listener.close();
    }
  });

  for (const [name, url] of Object.entries(HOSTED)) {
    test(`Allow reaches ${name} at its https address`, async () => {
      const attempt = await (await connector(server, url)).attempt();
      const answer = await hosted[url].during(() => alice.visit(attempt.url));
      assert.equal(answer.host, new URL(url).host);
      await works(attempt, answer);
    });
  }

  for (const javaScriptEnabled of [true, false]) {
    test(`What was allowed before takes one click and no less, ${javaScriptEnabled ? 'with' : 'without'} JavaScript`, async () => {
      await alice.close();
      alice = await Person.at(browser, { issuer: server.issuer, ...ALICE, javaScriptEnabled });
      const connection = await connector(server, HOSTED.ChatGPT, { clientName: `ChatGPT ${javaScriptEnabled}` });
      const first = await connection.attempt();
      await works(first, await hosted[HOSTED.ChatGPT].during(() => alice.visit(first.url)));

      const second = await connection.attempt();
      const page = await alice.context.newPage();
      await page.goto(second.url);
      assert.ok(alice.isOurs(page.url()), 'nothing goes out before the click');
      const label = await page.locator(CONTINUE).innerText();
      assert.match(label, /^Continue to ChatGPT as alice$/);
      assert.ok((await page.locator('h1').innerText()).includes('chatgpt.com'));
      const answer = await hosted[HOSTED.ChatGPT].during(() => submit(page, () => page.click(CONTINUE)));
      await works(second, answer);

      const third = await connection.attempt();
      await page.goto(third.url);
      const refused = await hosted[HOSTED.ChatGPT].during(() => submit(page, () => page.click(DENY)));
      assert.equal(refused.get('error'), 'access_denied');

      const fourth = await connection.attempt();
      await page.goto(fourth.url);
      await submit(page, () => page.click(SWITCH));
      assert.equal(await page.locator(PASSWORD).count(), 1, 'another account can take over');
    });
  }

  for (const [name, url] of Object.entries(CUSTOM)) {
    test(`Allow hands over to ${name} by its own scheme`, async () => {
      const attempt = await (await connector(server, url)).attempt();
      const page = await toConsent(alice, attempt.url);
      const wanted = [];
      const devtools = await alice.context.newCDPSession(page);
      await devtools.send('Page.enable');
      devtools.on('Page.frameRequestedNavigation', (event) => wanted.push(event.url));

      const [response] = await Promise.all([page.waitForNavigation({ waitUntil: 'load' }), page.click(ALLOW)]);
      assert.equal(response.status(), 200, 'a page, for a browser that does not know the scheme');
      const link = page.locator(`a[href^="${new URL(url).protocol}"]`);
      assert.equal(await link.count(), 1, 'with one link to press');
      const target = await link.getAttribute('href');
      assert.equal(target.split('?')[0], url);
      await until('the hand-over', () => wanted.includes(target));
      await works(attempt, new URL(target).searchParams);
    });
  }

  test('Deny tells the client', async () => {
    const attempt = await (await connector(server, loopback.url)).attempt();
    const page = await toConsent(alice, attempt.url);
    const answer = await loopback.during(() => submit(page, () => page.click(DENY)));
    assert.equal(answer.get('error'), 'access_denied');
    assert.equal(answer.get('state'), attempt.state);
    assert.equal(answer.get('iss'), server.issuer);
    assert.equal(answer.get('code'), null);
  });

  test('a double click on Allow does no harm', async () => {
    const attempt = await (await connector(server, loopback.url)).attempt();
    const page = await toConsent(alice, attempt.url);
    // The second click interrupts the navigation of the first, which the driver may report; what counts is the answer.
    const answer = await loopback.during(() => page.dblclick(ALLOW).catch(() => {}));
    await works(attempt, answer);
  });

  test('Allow pressed again on a page that has been answered does no harm', async () => {
    const connection = await connector(server, loopback.url);
    const attempt = await connection.attempt();
    const page = await toConsent(alice, attempt.url);
    const [again] = await Promise.all([alice.context.waitForEvent('page'), page.evaluate((url) => void window.open(url), page.url())]);
    await again.waitForSelector(ALLOW);

    const answer = await loopback.during(() => submit(page, () => page.click(ALLOW)));
    const tokens = await attempt.redeem(answer);
    const [response] = await Promise.all([again.waitForNavigation({ waitUntil: 'load' }), again.click(ALLOW)]);
    assert.ok(response.status() < 500, `${response.status()}`);
    // What was granted stays granted.
    assert.ok((await connection.refresh(tokens.refresh_token)).access_token);
    alice.complaints.length = 0;
  });

  test('two tabs with two authorizations both work', async () => {
    const connection = await connector(server, loopback.url);
    const [first, second] = [await connection.attempt(), await connection.attempt()];
    const one = await toConsent(alice, first.url);
    const two = await toConsent(alice, second.url);
    const answerTwo = await loopback.during(() => alice.finish(two));
    const answerOne = await loopback.during(() => alice.finish(one));
    await works(first, answerOne);
    await works(second, answerTwo);
  });

  test('two tabs work even if each was signed in to by itself', async () => {
    const connection = await connector(server, loopback.url);
    const [first, second] = [await connection.attempt(), await connection.attempt()];
    const [one, two] = [await alice.context.newPage(), await alice.context.newPage()];
    await one.goto(first.url);
    await two.goto(second.url);
    // Both show the sign-in form by now; the second was loaded before the first is sent.
    await alice.signIn(one);
    await alice.signIn(two);
    const answerTwo = await loopback.during(() => alice.finish(two));
    const answerOne = await loopback.during(() => alice.finish(one));
    await works(first, answerOne);
    await works(second, answerTwo);
  });

  test('a consent page that was loaded twice works in either copy', async () => {
    const attempt = await (await connector(server, loopback.url)).attempt();
    const page = await toConsent(alice, attempt.url);
    const copy = await alice.context.newPage();
    await copy.goto(page.url());
    await copy.waitForSelector(ALLOW);
    const answer = await loopback.during(() => submit(page, () => page.click(ALLOW)));
    await works(attempt, answer);
  });

  test('a consent page outlives the server that showed it', async () => {
    const attempt = await (await connector(server, loopback.url)).attempt();
    const page = await toConsent(alice, attempt.url);
    await server.crash();
    await server.revive();
    const answer = await loopback.during(() => submit(page, () => page.click(ALLOW)));
    await works(attempt, answer);
  });

  test('a consent page is of no use in another browser', async () => {
    bob = await Person.at(browser, { issuer: server.issuer, ...BOB });
    const own = await (await connector(server, loopback.url)).attempt();
    await loopback.during(() => bob.visit(own.url)); // signed in by now

    const attempt = await (await connector(server, loopback.url)).attempt();
    const page = await toConsent(alice, attempt.url);
    const stolen = await bob.context.newPage();
    const response = await stolen.goto(page.url());
    assert.ok(response.status() >= 400 && response.status() < 500, `${response.status()}`);
    assert.equal(await stolen.locator(ALLOW).count(), 0);
    bob.complaints.length = 0; // Chromium notes the status.
  });

  test('another account can take over at the consent page', async () => {
    bob = await Person.at(browser, { issuer: server.issuer, ...BOB });
    const attempt = await (await connector(server, loopback.url)).attempt();
    const page = await toConsent(alice, attempt.url);
    await submit(page, () => page.click(SWITCH));
    await page.fill('input[name="username"]', BOB.username);
    await page.fill(PASSWORD, BOB.password);
    await submit(page, () => page.press(PASSWORD, 'Enter'));
    const answer = await loopback.during(() => alice.finish(page));
    const throughAlice = await works(attempt, answer);

    const own = await (await connector(server, loopback.url)).attempt();
    const ownAnswer = await loopback.during(() => bob.visit(own.url));
    assert.equal(throughAlice.id, (await works(own, ownAnswer)).id);
  });

  test('a wrong password can be put right', async () => {
    const attempt = await (await connector(server, loopback.url)).attempt();
    const page = await alice.context.newPage();
    await page.goto(attempt.url);
    await alice.signIn(page, 'not the password at all');
    assert.equal(await page.locator(PASSWORD).count(), 1, 'the form is still there');
    alice.complaints.length = 0; // Chromium notes the status of a refused form.
    const answer = await loopback.during(() => alice.finish(page));
    await works(attempt, answer);
  });

  test('Disconnect at the account page ends a connection', async () => {
    const connection = await connector(server, loopback.url, { clientName: 'To be disconnected' });
    const attempt = await connection.attempt();
    const answer = await loopback.during(() => alice.visit(attempt.url));
    const tokens = await attempt.redeem(answer);
    assert.equal((await callTool(tokens, 'whoami', {})).status, 200);

    const page = await alice.context.newPage();
    await page.goto(`${server.issuer}/account`);
    const entry = page.locator('li').filter({ has: page.locator('form') }).filter({ hasText: 'To be disconnected' });
    assert.equal(await entry.count(), 1);
    await submit(page, () => entry.locator('form button').click());
    assert.equal(await entry.count(), 0, 'it is gone from the list');

    await assert.rejects(connection.refresh(tokens.refresh_token), InvalidGrantError);
    const refused = await until('the access token to be refused', async () => {
      const response = await callTool(tokens, 'whoami', {});
      return response.status === 401 && response;
    });
    assert.match(refused.headers.get('www-authenticate'), /^Bearer .*error="invalid_token"/);
  });

  test('an address that search cites opens for a person, after sign-in', async () => {
    const attempt = await (await connector(server, loopback.url)).attempt();
    const answer = await loopback.during(() => alice.visit(attempt.url));
    const { results } = await resultOf(await callTool(await attempt.redeem(answer), 'search', { query: 'refresh token' }));

    bob = await Person.at(browser, { issuer: server.issuer, ...BOB });
    const page = await bob.context.newPage();
    await page.goto(results[0].url);
    await bob.signIn(page);
    assert.equal(page.url(), results[0].url);
    assert.ok((await page.locator('body').innerText()).includes(results[0].title));
  });

  test('all of it works without JavaScript', async () => {
    await alice.close();
    alice = await Person.at(browser, { issuer: server.issuer, ...ALICE, javaScriptEnabled: false });
    const attempt = await (await connector(server, loopback.url)).attempt();
    const answer = await loopback.during(() => alice.visit(attempt.url));
    await works(attempt, answer);
  });

  test('no other site can put our pages in a frame', async () => {
    const attempt = await (await connector(server, loopback.url)).attempt();
    const page = await alice.context.newPage();
    await page.goto(loopback.url);
    await page.setContent(`<iframe src="${attempt.url.replaceAll('&', '&amp;')}"></iframe>`);
    await until('the frame to be refused', () => page.frames().some((frame) => frame.url().startsWith('chrome-error://')));
    assert.ok(page.frames().every((frame) => !alice.isOurs(frame.url())));
  });
});
