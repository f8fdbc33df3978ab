// The example of the manual's page on verifying tokens, as it stands there, with a real token.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { openBrowser, Person } from './lib/browser.mjs';
import { PythonDriver } from './lib/python.mjs';
import { deploy, deployment } from './lib/server.mjs';

const run = promisify(execFile);
const here = import.meta.dirname;
const ALICE = { username: 'alice', password: 'correct horse battery staple' };

/** The indented lines under a heading. */
async function example(heading) {
  const page = await readFile(path.join(here, '../../docs/manual/verify-tokens.md'), 'utf8');
  const section = page.split(`## ${heading}\n`)[1].split('\n## ')[0];
  const lines = section.split('\n').filter((line) => line.startsWith('    ') || line === '');
  return lines.map((line) => line.slice(4)).join('\n');
}

describe(`the manual's example of verifying tokens on ${deployment}`, () => {
  let browser, server, alice, driver, code;
  before(async () => {
    browser = await openBrowser();
    server = await deploy({ settings: {} });
    await server.addUser(ALICE.username, ALICE.password);
    alice = await Person.at(browser, { issuer: server.issuer, ...ALICE });
    driver = new PythonDriver({ mcpUrl: server.mcpUrl, visit: (url) => alice.visit(url) });
    await driver.tools();
    code = (await example('In Python')).replace('https://mcp.example.com', server.issuer);
  });
  after(async () => {
    await driver?.close();
    await alice?.close();
    await server?.stop();
    await browser?.close();
  });

  const verify = (token, change = (text) => text) =>
    run(path.join(here, '.venv/bin/python'), ['-c', `${change(code)}\nimport sys\nprint(json.dumps(verify(sys.argv[1])))`, token]);

  test('takes a token and gives its claims', async () => {
    const { access_token: token } = await driver.tokens();
    const claims = JSON.parse((await verify(token)).stdout);
    assert.equal(claims.iss, server.issuer);
    assert.equal(claims.aud, server.mcpUrl);
    assert.equal(claims.sub, (await driver.call('whoami', {})).structuredContent.id);
  });

  test('refuses a changed token, and one for another resource', async () => {
    const { access_token: token } = await driver.tokens();
    const [header, body, signature] = token.split('.');
    const turned = signature.startsWith('A') ? 'B' : 'A';
    await assert.rejects(verify(`${header}.${body}.${turned}${signature.slice(1)}`), /InvalidSignatureError/);
    await assert.rejects(verify(token, (text) => text.replace('"/mcp"', '"/other"')), /InvalidAudienceError/);
  });
});
