// The official TypeScript SDK, 2.x: as it comes (`initialize`), told to find out what the server
// speaks (`server/discover`), and with a secret.
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { clientSuite } from './lib/suite.mjs';
import { typescriptDriver } from './lib/typescript.mjs';

const sdk = {
  Client,
  StreamableHTTPClientTransport,
  UnauthorizedError,
  // All that came back goes in: the SDK checks the issuer itself.
  finish: (transport, answer) => transport.finishAuth(answer),
};
const negotiating = { versionNegotiation: { mode: 'auto' } };

clientSuite('TypeScript SDK 2', typescriptDriver(sdk), { speaks: '2025-11-25' });
clientSuite('TypeScript SDK 2, negotiating', typescriptDriver({ ...sdk, clientOptions: negotiating }), {
  speaks: '2026-07-28',
});
clientSuite('TypeScript SDK 2, client_secret_post', typescriptDriver({ ...sdk, authMethod: 'client_secret_post' }), {
  crashes: false,
});
