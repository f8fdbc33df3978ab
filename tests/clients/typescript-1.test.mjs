// The official TypeScript SDK, 1.x: as the public client that it usually is, and with a secret.
import { UnauthorizedError } from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { clientSuite } from './lib/suite.mjs';
import { typescriptDriver } from './lib/typescript.mjs';

const sdk = {
  Client,
  StreamableHTTPClientTransport,
  UnauthorizedError,
  finish: (transport, answer) => transport.finishAuth(answer.get('code')),
};

clientSuite('TypeScript SDK 1', typescriptDriver(sdk), { speaks: '2025-11-25' });
clientSuite('TypeScript SDK 1, client_secret_basic', typescriptDriver({ ...sdk, authMethod: 'client_secret_basic' }), {
  crashes: false,
});
