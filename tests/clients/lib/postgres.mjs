// A database of its own for each deployment, in the cluster that PORTCULLIS_TEST_POSTGRES names
// (scripts/postgres-for-tests.sh starts one). A URL is made into another by its path alone.
import { randomBytes } from 'node:crypto';
import { run } from './process.mjs';

export async function freshDatabase() {
  const server = process.env.PORTCULLIS_TEST_POSTGRES;
  if (!server) throw new Error('PORTCULLIS_TEST_POSTGRES is not set: export $(scripts/postgres-for-tests.sh start)');
  const name = `clients_${randomBytes(6).toString('hex')}`;
  await sql(server, `CREATE DATABASE ${name}`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.href,
    drop: () => sql(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`),
  };
}

async function sql(url, statement) {
  await run('psql', ['--no-psqlrc', '--quiet', '--set', 'ON_ERROR_STOP=1', '--command', statement, url], {
    env: process.env,
  });
}
