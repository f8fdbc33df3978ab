// A dumb reverse proxy: HTTP/1.1, one upstream connection per request, bodies streamed both ways,
// the next upstream in turn for each request, another one if that refuses the connection.
//
// For the tests it can also do what a network does at the worst moment: run something just before
// a request is passed on, or lose an answer after the server has given it.
import http from 'node:http';

/** `upstreams`: ports on 127.0.0.1. Gives `{ log, before(), lose(), close() }`. */
export async function startProxy({ port, upstreams }) {
  const log = [];
  const hooks = [];
  let turn = 0;

  const server = http.createServer((request, response) => {
    pass(request, response).catch((error) => {
      if (!response.headersSent) response.writeHead(502, { 'content-type': 'text/plain' });
      response.end(`bad gateway: ${error.message}\n`);
    });
  });

  async function pass(request, response) {
    const seen = {
      method: request.method,
      path: request.url.split('?')[0],
      authorized: request.headers.authorization !== undefined,
    };
    log.push(seen);

    // Only a small form is looked into, and only while a hook waits for one.
    let body = request;
    const type = request.headers['content-type'] ?? '';
    if (hooks.length > 0 && type.startsWith('application/x-www-form-urlencoded')) {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      body = Buffer.concat(chunks);
      seen.form = new URLSearchParams(body.toString());
    }
    const at = hooks.findIndex((hook) => hook.match(seen));
    const hook = at < 0 ? undefined : hooks.splice(at, 1)[0];
    if (hook?.kind === 'before') await hook.action();

    const first = turn++;
    for (let n = 0; n < upstreams.length; n++) {
      const upstream = upstreams[(first + n) % upstreams.length];
      const answer = await forward(request, response, body, upstream, n + 1 < upstreams.length);
      if (!answer) continue;
      seen.upstream = upstream;
      seen.status = answer.statusCode;
      seen.challenge = answer.headers['www-authenticate'];
      if (hook?.kind === 'lose') {
        for await (const _ of answer);
        await hook.action();
        seen.lost = true;
        response.destroy();
        return;
      }
      response.writeHead(answer.statusCode, answer.statusMessage, endToEnd(answer.rawHeaders));
      answer.once('error', () => response.destroy());
      answer.pipe(response);
      return;
    }
  }

  // The answer's head; undefined if nobody listens there and somebody else may be asked instead.
  function forward(request, response, body, upstream, mayGoElsewhere) {
    return new Promise((resolve, reject) => {
      const out = http.request({
        host: '127.0.0.1',
        port: upstream,
        method: request.method,
        path: request.url,
        headers: endToEnd(request.rawHeaders),
        setHost: false,
        agent: false,
      });
      response.once('close', () => out.destroy());
      out.once('response', resolve);
      out.once('error', (error) => {
        if (error.code === 'ECONNREFUSED' && mayGoElsewhere) resolve(undefined);
        else reject(error);
      });
      if (Buffer.isBuffer(body)) out.end(body);
      else if (!hasBody(request)) out.end();
      else out.once('socket', (socket) => socket.once('connect', () => body.pipe(out)));
    });
  }

  // A connection that stays open for minutes between two requests is nothing unusual.
  server.keepAliveTimeout = 120_000;
  server.requestTimeout = 0;
  await new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));

  return {
    log,
    /** Does `action` once, before the next request that matches is passed on. */
    before(match, action) {
      hooks.push({ kind: 'before', match, action });
    },
    /** Passes the next request that matches, takes the whole answer, does `action`, and hangs up. */
    lose(match, action) {
      hooks.push({ kind: 'lose', match, action });
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const hasBody = ({ headers }) =>
  headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;

// The headers that belong to one connection alone are not passed on (RFC 9110 §7.6.1).
const ONE_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']);

function endToEnd(rawHeaders) {
  const kept = [];
  for (let n = 0; n < rawHeaders.length; n += 2) {
    if (!ONE_HOP.has(rawHeaders[n].toLowerCase())) kept.push(rawHeaders[n], rawHeaders[n + 1]);
  }
  return kept;
}

/** Matches a request for a token by one grant, as a form that a hook has read. */
export const isTokenRequest = (grant) => (seen) =>
  seen.method === 'POST' && seen.path === '/token' && seen.form?.get('grant_type') === grant;
