// Where a client waits for the browser to come back: a loopback http address, or an https one
// with a certificate made for the occasion.
import http from 'node:http';
import https from 'node:https';
import { readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { run, until } from './process.mjs';
import { scratchFolder } from './server.mjs';

/** Gives `{ port, url, answers, during(act), close() }`; an answer is the query it was called with. */
export async function listenForCallback({ pathname = '/callback', tls } = {}) {
  const answers = [];
  const listener = (request, response) => {
    const url = new URL(request.url, 'http://callback.invalid');
    if (url.pathname !== pathname) {
      response.writeHead(404).end();
      return;
    }
    const answer = url.searchParams;
    answer.host = request.headers.host;
    answer.referer = request.headers.referer;
    answers.push(answer);
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<!doctype html><title>Back at the client</title><link rel="icon" href="data:,"><p>You may close this window.</p>');
  };
  const server = tls ? https.createServer(tls, listener) : http.createServer(listener);
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  return {
    port,
    url: tls ? `https://localhost:${port}${pathname}` : `http://127.0.0.1:${port}${pathname}`,
    answers,
    /** Does something, and gives the answer that comes of it. */
    async during(act) {
      const known = answers.length;
      await act();
      await until(`an answer at ${pathname}`, () => answers.length > known);
      return answers[known];
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A self-signed certificate for localhost and the given names. */
export async function certificate(...names) {
  const folder = await scratchFolder('tls');
  const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')];
  await run('openssl', [
    'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
    '-subj', '/CN=localhost', '-addext', `subjectAltName=${['localhost', ...names].map((name) => `DNS:${name}`).join(',')}`,
    '-keyout', key, '-out', cert,
  ]);
  const pair = { key: await readFile(key), cert: await readFile(cert) };
  await rm(folder, { recursive: true, force: true });
  return pair;
}
