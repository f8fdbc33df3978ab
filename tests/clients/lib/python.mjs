// A driver for the official Python SDK, which runs in a process of its own: python/client.py.
import path from 'node:path';
import { pause, start } from './process.mjs';
import { bareEnvironment } from './server.mjs';

const here = path.resolve(import.meta.dirname, '..');

/** The SDK refreshes when a token's time is over, so a short one is the way to make it. */
export const SHORT_LIFE = { PORTCULLIS__TOKENS__ACCESS_TTL: '2s' };

export class PythonDriver {
  constructor({ mcpUrl, visit }) {
    Object.assign(this, { mcpUrl, visit });
    this.events = [];
    this.waiting = [];
    this.turn = Promise.resolve();
  }

  #begin() {
    this.process = start(path.join(here, '.venv/bin/python'), [path.join(here, 'python/client.py')], {
      env: { ...bareEnvironment(), PYTHONUNBUFFERED: '1' },
      onLine: (line, stream) => stream === 'stdout' && this.#hear(JSON.parse(line)),
    });
    this.process.exited.then(() => this.#hear({ error: `the client ended:\n${this.process.stderr}` }));
    this.process.child.stdin.write(`${JSON.stringify({ url: this.mcpUrl })}\n`);
  }

  #hear(event) {
    if (event.authorize) {
      this.visit(event.authorize).catch((error) => this.#hear({ error: `in the browser: ${error.stack}` }));
    } else if (this.waiting.length > 0) this.waiting.shift()(event);
    else this.events.push(event);
  }

  async #next() {
    const event = this.events.shift() ?? (await new Promise((resolve) => this.waiting.push(resolve)));
    if (event.error) throw new Error(event.error);
    return event;
  }

  // One command at a time, each with its answer.
  #ask(command) {
    const answer = this.turn.then(async () => {
      if (!this.process) this.#begin();
      this.process.child.stdin.write(`${JSON.stringify(command)}\n`);
      return (await this.#next()).result;
    });
    this.turn = answer.catch(() => {});
    return answer;
  }

  tools() {
    return this.#ask({ do: 'tools' });
  }

  call(name, args) {
    return this.#ask({ do: 'call', name, arguments: args });
  }

  race(count) {
    return this.#ask({ do: 'race', count });
  }

  tokens() {
    return this.#ask({ do: 'tokens' });
  }

  version() {
    return this.#ask({ do: 'version' });
  }

  spoil() {
    return pause(2100);
  }

  async close() {
    this.process?.child.stdin.end();
    await this.process?.stop();
  }
}
