// Child processes: started, watched and ended by their own id. Nothing outlives the test file.
import { spawn } from 'node:child_process';
import net from 'node:net';

const running = new Set();

process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => process.exit(1));
}

/** Starts a program and keeps what it prints: `{ child, output, exited, stop(), kill() }`. */
export function start(command, args, { env, cwd, input, onLine } = {}) {
  const child = spawn(command, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  running.add(child);
  const handle = { child, stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    let rest = '';
    child[stream].setEncoding('utf8').on('data', (text) => {
      handle[stream] += text;
      const lines = (rest + text).split('\n');
      rest = lines.pop();
      for (const line of lines) onLine?.(line, stream);
    });
  }
  child.stdin.on('error', () => {});
  if (input !== undefined) child.stdin.end(input);
  handle.exited = new Promise((resolve) => {
    child.once('error', (error) => {
      handle.stderr += String(error);
      running.delete(child);
      resolve({ code: -1, signal: null });
    });
    child.once('close', (code, signal) => {
      running.delete(child);
      resolve({ code, signal });
    });
  });
  handle.running = () => running.has(child);
  handle.kill = async () => {
    if (running.has(child)) child.kill('SIGKILL');
    return handle.exited;
  };
  handle.stop = async (patience = 5000) => {
    if (running.has(child)) {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), patience);
      await handle.exited;
      clearTimeout(timer);
    }
    return handle.exited;
  };
  return handle;
}

/** Runs a program to its end; refuses a failing one with everything it said. */
export async function run(command, args, options = {}) {
  const { patience = 30_000, ...rest } = options;
  const handle = start(command, args, { input: '', ...rest });
  const timer = setTimeout(() => handle.child.kill('SIGKILL'), patience);
  const { code, signal } = await handle.exited;
  clearTimeout(timer);
  if (code !== 0) {
    throw new Error(`${command} ${args.join(' ')}: exit ${code ?? signal}\n${handle.stdout}${handle.stderr}`);
  }
  return handle.stdout;
}

/** Ports that were free a moment ago on 127.0.0.1, all different. */
export async function freePorts(count) {
  const held = [];
  for (let n = 0; n < count; n++) {
    const server = net.createServer();
    await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
    held.push(server);
  }
  const ports = held.map((server) => server.address().port);
  await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Asks until the answer is true, or says what was waited for. */
export async function until(what, check, patience = 30_000) {
  const end = Date.now() + patience;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (Date.now() > end) throw new Error(`waited ${patience} ms for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
}

export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
