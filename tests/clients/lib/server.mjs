// A running portcullis, in one of three shapes that PORTCULLIS_TEST_DEPLOYMENT names:
//   sqlite    one process, a database file, reached directly
//   postgres  one process, PostgreSQL, reached directly
//   replicas  two processes on one PostgreSQL behind a round-robin proxy
// With `{ edge: true }` a proxy stands in front in every shape, so that a test can lose answers.
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { freshDatabase } from './postgres.mjs';
import { freePorts, run, start, until } from './process.mjs';
import { startProxy } from './proxy.mjs';

const root = path.resolve(import.meta.dirname, '../../..');

export const deployment = process.env.PORTCULLIS_TEST_DEPLOYMENT || 'sqlite';

export const binary = path.resolve(process.env.PORTCULLIS_BIN || path.join(root, 'target/debug/portcullis'));

/** What a person who has set nothing would have: no PORTCULLIS variable of the caller's leaks in. */
export function bareEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PORTCULLIS')));
}

export async function scratchFolder(name) {
  return mkdtemp(path.join(tmpdir(), `portcullis-clients-${name}-`));
}

export async function deploy({ edge = false, settings = {} } = {}) {
  if (!existsSync(binary)) throw new Error(`no server to test at ${binary}: build it, or set PORTCULLIS_BIN`);
  const folder = await scratchFolder(deployment);
  const replicas = deployment === 'replicas' ? 2 : 1;
  const proxied = edge || replicas > 1;
  const [front, ...behind] = await freePorts(1 + (proxied ? replicas : 0));
  const listening = proxied ? behind : [front];
  const issuer = `http://localhost:${front}`;

  const database = deployment === 'sqlite' ? undefined : await freshDatabase();
  const env = {
    ...bareEnvironment(),
    PORTCULLIS__PUBLIC_URL: issuer,
    PORTCULLIS__DATABASE__URL: database?.url ?? `sqlite://${path.join(folder, 'portcullis.db')}`,
    ...(database && { PORTCULLIS__KEYS__MASTER_KEY: randomBytes(32).toString('base64url') }),
    ...settings,
  };

  let processes = [];
  const logs = [];
  async function bringUp() {
    processes = listening.map((port) => {
      const handle = start(binary, [], { cwd: folder, env: { ...env, PORTCULLIS__LISTEN: `127.0.0.1:${port}` } });
      logs.push(handle);
      return handle;
    });
    await Promise.all(listening.map((port, n) => ready(`http://127.0.0.1:${port}`, processes[n])));
  }
  const proxy = proxied ? await startProxy({ port: front, upstreams: listening }) : undefined;
  await bringUp();

  return {
    issuer,
    mcpUrl: `${issuer}/mcp`,
    proxy,
    folder,

    /** kill -9, every process. */
    async crash() {
      await Promise.all(processes.map((handle) => handle.kill()));
    },
    revive: bringUp,

    /** kill -9 of one replica, which stays dead. */
    async loseReplica(index) {
      await processes[index].kill();
    },

    async addUser(name, password, ...more) {
      await run(binary, ['user', 'add', name, '--password-stdin', ...more], { cwd: folder, env, input: `${password}\n` });
    },

    printed: () => logs.map((handle) => handle.stdout + handle.stderr).join(''),

    async stop() {
      await Promise.all(processes.map((handle) => handle.stop()));
      await proxy?.close();
      await database?.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export async function ready(origin, handle) {
  await until(`${origin}/readyz`, async () => {
    if (!handle.running()) throw new Error(`the server ended:\n${handle.stdout}${handle.stderr}`);
    try {
      return (await fetch(`${origin}/readyz`, { signal: AbortSignal.timeout(2000) })).ok;
    } catch {
      return false;
    }
  });
}
