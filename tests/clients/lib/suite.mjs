// What every client has to live through, written once. A driver wraps one unmodified client:
//
//   new Driver({ mcpUrl, visit })   `visit(url)` is what the client does to open a browser
//   tools()                         connects if need be; the tools' names
//   call(tool, arguments)           connects if need be; the call's result
//   race(n)                         n whoami calls at once, from as many copies of the client as it can have
//   spoil()                         makes the stored access token useless, by age or by damage
//   tokens()                        what is stored: { access_token, refresh_token }
//   version()                       the protocol revision in use, if the client tells
//   close()
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { openBrowser, Person } from './browser.mjs';
import { isTokenRequest } from './proxy.mjs';
import { deploy, deployment } from './server.mjs';

const ALICE = { username: 'alice', password: 'correct horse battery staple' };

// An authorization code, a refresh token, a client's secret, a session; an access token.
const LIVE_SECRET = /\b(?:pc[crms]|pss)_[\w-]{20,}|\beyJ[\w-]+\.[\w-]+\.[\w-]+/g;

export function clientSuite(name, Driver, { settings = {}, racers = 5, speaks, crashes = true } = {}) {
  describe(`${name} on ${deployment}`, () => {
    let browser;
    before(async () => {
      browser = await openBrowser();
    });
    after(() => browser?.close());

    describe('a connection', () => {
      let server;
      let alice;
      let driver;
      before(async () => {
        server = await deploy({ settings });
        await server.addUser(ALICE.username, ALICE.password);
        alice = await Person.at(browser, { issuer: server.issuer, ...ALICE });
        driver = new Driver({ mcpUrl: server.mcpUrl, visit: (url) => alice.visit(url) });
      });
      after(async () => {
        await driver?.close();
        await alice?.close();
        await server?.stop();
      });

      test('starts from nothing and lists the tools', async () => {
        assert.deepEqual((await driver.tools()).sort(), ['fetch', 'search', 'whoami']);
        assert.equal(alice.visits, 1, 'one sign-in');
        assert.ok((await driver.tokens()).refresh_token, 'a refresh token without asking for one');
      });

      if (speaks) {
        test(`speaks ${speaks}`, async () => {
          assert.equal(await driver.version(), speaks);
        });
      }

      test('calls each tool', async () => {
        await callEachTool(driver);
      });

      test('refreshes by itself', async () => {
        const old = await driver.tokens();
        await driver.spoil();
        await callEachTool(driver);
        const fresh = await driver.tokens();
        assert.notEqual(fresh.access_token, old.access_token);
        assert.notEqual(fresh.refresh_token, old.refresh_token, 'the refresh token is rotated');
        assert.equal(alice.visits, 1, 'without a new sign-in');
      });

      test(`wins a race of ${racers} that all find the token dead`, async () => {
        await driver.spoil();
        const results = await driver.race(racers);
        assert.equal(results.length, racers);
        assert.equal(new Set(results.map((result) => result.structuredContent.id)).size, 1);
        await driver.spoil();
        await driver.call('whoami', {});
        assert.equal(alice.visits, 1, 'without a new sign-in');
      });

      test('leaves no secret in the log, and no complaint in the browser', () => {
        assert.deepEqual(server.printed().match(LIVE_SECRET) ?? [], []);
        assert.deepEqual(alice.complaints, []);
      });
    });

    if (!crashes) return;

    describe('a server that dies', () => {
      let server;
      let alice;
      let driver;
      before(async () => {
        server = await deploy({ settings, edge: true });
        await server.addUser(ALICE.username, ALICE.password);
        alice = await Person.at(browser, { issuer: server.issuer, ...ALICE });
        driver = new Driver({ mcpUrl: server.mcpUrl, visit: (url) => alice.visit(url) });
      });
      after(async () => {
        await driver?.close();
        await alice?.close();
        await server?.stop();
      });

      test('between authorize and token: the code still works', async () => {
        let died = false;
        server.proxy.before(isTokenRequest('authorization_code'), async () => {
          await server.crash();
          await server.revive();
          died = true;
        });
        await callEachTool(driver);
        assert.ok(died, 'the server died on the way');
        assert.equal(alice.visits, 1, 'one sign-in');
        wentByTheBook(server.proxy.log);
      });

      test('between refresh and answer: the old refresh token still works', async () => {
        const old = await driver.tokens();
        let died = false;
        server.proxy.lose(isTokenRequest('refresh_token'), async () => {
          await server.crash();
          died = true;
        });
        await driver.spoil();
        // What the client makes of the lost answer is its own affair: an error, or a new sign-in,
        // for which nobody is there.
        alice.away = true;
        await driver.call('whoami', {}).catch(() => {});
        alice.away = false;
        assert.ok(died, 'the server died on the way');
        assert.equal((await driver.tokens()).refresh_token, old.refresh_token, 'the client knows only the old one');

        await server.revive();
        await callEachTool(driver);
        assert.notEqual((await driver.tokens()).refresh_token, old.refresh_token);
        assert.equal(alice.visits, 1, 'without a new sign-in');
      });

      if (deployment === 'replicas') {
        test('for good, one of two: the other serves', async () => {
          await server.loseReplica(0);
          await driver.spoil();
          await callEachTool(driver);
          assert.equal(alice.visits, 1, 'without a new sign-in');
        });
      }
    });
  });
}

async function callEachTool(driver) {
  const me = await driver.call('whoami', {});
  assert.match(me.structuredContent.id, /^usr_/);
  sameInWords(me);

  const found = await driver.call('search', { query: 'refresh token' });
  sameInWords(found);
  const [first] = found.structuredContent.results;
  assert.ok(first, 'the manual has something to say about refresh tokens');
  for (const field of ['id', 'title', 'url']) assert.ok(first[field], `a result has its ${field}`);

  const document = await driver.call('fetch', { id: first.id });
  sameInWords(document);
  assert.equal(document.structuredContent.id, first.id);
  assert.ok(document.structuredContent.text.length > 0);
}

// the structured result, and the same JSON as the one text.
function sameInWords(result) {
  assert.ok(!result.isError, JSON.stringify(result));
  assert.equal(result.content.length, 1);
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
}

// The order of events at the edge: refused with a pointer, metadata, registration, token, answer.
function wentByTheBook(log) {
  const at = (what, test) => {
    const index = log.findIndex(test);
    assert.notEqual(index, -1, `${what} was not seen among\n${log.map((seen) => `${seen.status} ${seen.method} ${seen.path}`).join('\n')}`);
    return index;
  };
  const refused = at('an unauthenticated call', (seen) => seen.path === '/mcp' && !seen.authorized);
  assert.equal(log[refused].status, 401);
  assert.match(log[refused].challenge, /^Bearer .*resource_metadata="[^"]+\/\.well-known\/oauth-protected-resource\/mcp"/);
  const order = [
    refused,
    at('resource metadata', (seen) => seen.path === '/.well-known/oauth-protected-resource/mcp' && seen.status === 200),
    at('server metadata', (seen) => seen.path.startsWith('/.well-known/oauth-authorization-server') && seen.status === 200),
    at('registration', (seen) => seen.path === '/register' && seen.status === 201),
    at('authorize', (seen) => seen.path === '/authorize' && seen.status === 303),
    at('a token', (seen) => seen.path === '/token' && seen.status === 200),
    at('an answered call', (seen) => seen.path === '/mcp' && seen.authorized && seen.status === 200),
  ];
  assert.deepEqual(order, [...order].sort((a, b) => a - b), 'in this order');
}
