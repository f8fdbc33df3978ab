// A driver for the official TypeScript SDK; the two lines of it differ in where they are imported
// from and in how they take the browser's answer.
import assert from 'node:assert/strict';
import { listenForCallback } from './callback.mjs';
import { damaged, MemoryProvider } from './provider.mjs';

export function typescriptDriver({
  Client,
  StreamableHTTPClientTransport,
  UnauthorizedError,
  finish,
  clientOptions,
  authMethod,
}) {
  return class TypeScriptDriver {
    constructor({ mcpUrl, visit, kept }) {
      Object.assign(this, { mcpUrl, visit });
      this.kept = kept ?? {};
    }

    async connected() {
      this.connecting ??= this.connect();
      return this.connecting;
    }

    async connect() {
      this.callback ??= await listenForCallback();
      this.provider ??= new MemoryProvider({
        redirectUrl: this.callback.url,
        clientName: 'Portcullis client tests',
        authMethod,
        kept: this.kept,
      });
      for (let attempt = 0; ; attempt += 1) {
        const client = new Client({ name: 'portcullis-client-tests', version: '1.0.0' }, clientOptions);
        const transport = new StreamableHTTPClientTransport(new URL(this.mcpUrl), { authProvider: this.provider });
        try {
          await client.connect(transport);
          Object.assign(this, { client, transport });
          return client;
        } catch (error) {
          await client.close().catch(() => {});
          // The SDK has sent the person to the browser and wants to be told how that ended.
          if (attempt > 0 || !(error instanceof UnauthorizedError) || !this.kept.authorizationUrl) throw error;
          await this.signIn(transport);
        }
      }
    }

    async signIn(transport) {
      const url = this.kept.authorizationUrl;
      delete this.kept.authorizationUrl;
      const answer = await this.callback.during(() => this.visit(url));
      assert.equal(answer.get('state'), this.kept.state, 'state comes back as it was sent');
      assert.equal(answer.get('iss'), new URL(this.mcpUrl).origin);
      await finish(transport, answer);
    }

    async tools() {
      const { tools } = await (await this.connected()).listTools();
      return tools.map((tool) => tool.name);
    }

    async call(name, args) {
      return (await this.connected()).callTool({ name, arguments: args });
    }

    // Several windows of one application: each has its own transport, all share what is kept.
    async race(count) {
      const copies = Array.from({ length: count }, () => new TypeScriptDriver(this));
      try {
        return await Promise.all(copies.map((copy) => copy.call('whoami', {})));
      } finally {
        await Promise.all(copies.map((copy) => copy.close()));
      }
    }

    async version() {
      const client = await this.connected();
      return client.getNegotiatedProtocolVersion?.() ?? this.transport.protocolVersion;
    }

    tokens() {
      return this.kept.tokens;
    }

    spoil() {
      this.kept.tokens = { ...this.kept.tokens, access_token: damaged(this.kept.tokens.access_token) };
    }

    async close() {
      await this.client?.close();
      await this.callback?.close();
    }
  };
}
