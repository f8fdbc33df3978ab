// A driver for MCP Inspector's command line: each step is a process of its own, and what has to
// last between them lies in its state folder, as for a person who types the commands.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { damaged } from './provider.mjs';
import { bareEnvironment } from './server.mjs';
import { freePorts, start } from './process.mjs';

const inspector = path.resolve(import.meta.dirname, '../node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js');

export function inspectorDriver({ era = 'legacy' } = {}) {
  return class InspectorDriver {
    constructor({ mcpUrl, visit }) {
      Object.assign(this, { mcpUrl, visit });
    }

    async run(...args) {
      this.home ??= await mkdtemp(path.join(tmpdir(), 'portcullis-clients-inspector-'));
      const [port] = await freePorts(1);
      let visiting;
      let failed;
      const handle = start(
        process.execPath,
        [
          inspector, '--cli', '--transport', 'http', '--server-url', this.mcpUrl, '--protocol-era', era,
          '--callback-url', `http://127.0.0.1:${port}/oauth/callback`, '--format', 'json', ...args,
        ],
        {
          cwd: this.home,
          input: '',
          env: {
            ...bareEnvironment(),
            HOME: this.home,
            MCP_STORAGE_DIR: this.home,
            MCP_INSPECTOR_SECRET_STORE: 'file',
            // It opens "the browser" without a terminal to ask in; the visit below is that browser.
            MCP_AUTO_OPEN_ENABLED: 'true',
            BROWSER: '/bin/true',
          },
          onLine: (line) => {
            const [, url] = /^Please navigate to: .*?(https?:\/\/[^\s\x07\x1b]+)/.exec(line) ?? [];
            if (url && !visiting) {
              visiting = this.visit(url).catch((error) => {
                failed = error;
                return handle.kill();
              });
            }
          },
        },
      );
      const timer = setTimeout(() => handle.kill(), 45_000);
      const { code } = await handle.exited;
      clearTimeout(timer);
      await visiting;
      if (failed) throw failed;
      if (code !== 0) throw new Error(`inspector ${args.join(' ')}: exit ${code}\n${handle.stdout}${handle.stderr}`);
      return JSON.parse(handle.stdout).result;
    }

    async tools() {
      const answer = await this.run('--method', 'tools/list');
      return answer.tools.map((tool) => tool.name);
    }

    call(name, args) {
      return this.run('--method', 'tools/call', '--tool-name', name, '--tool-args-json', JSON.stringify(args));
    }

    // Several terminals, one state folder.
    race(count) {
      return Promise.all(Array.from({ length: count }, () => this.call('whoami', {})));
    }

    // The tokens are one entry of the file that stands in for a keychain; its name ends in the
    // server's URL and the issuer.
    async keychain() {
      const file = path.join(this.home, 'secrets.json');
      const content = JSON.parse(await readFile(file, 'utf8'));
      const entry = Object.keys(content.secrets).find((name) => name.includes(':tokens'));
      return { file, content, entry };
    }

    async tokens() {
      const { content, entry } = await this.keychain();
      return JSON.parse(content.secrets[entry]);
    }

    async spoil() {
      const { file, content, entry } = await this.keychain();
      const tokens = JSON.parse(content.secrets[entry]);
      content.secrets[entry] = JSON.stringify({ ...tokens, access_token: damaged(tokens.access_token) });
      await writeFile(file, JSON.stringify(content));
    }

    async close() {
      if (this.home) await rm(this.home, { recursive: true, force: true });
    }
  };
}
