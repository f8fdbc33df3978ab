// What an application built on a TypeScript SDK has to bring along: somewhere to keep things, and
// a way to open a browser. It keeps everything in memory and checks nothing that the SDK checks.
import { randomBytes } from 'node:crypto';

export class MemoryProvider {
  constructor({ redirectUrl, clientName, authMethod = 'none', kept = {} }) {
    Object.assign(this, { redirectUrl, clientName, authMethod, kept });
  }

  get clientMetadata() {
    return {
      client_name: this.clientName,
      redirect_uris: [this.redirectUrl],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: this.authMethod,
    };
  }

  state() {
    // The plus and the slash that some clients put in are part of what has to come back.
    this.kept.state = `${randomBytes(12).toString('base64')}+/=`;
    return this.kept.state;
  }

  clientInformation() {
    return this.kept.client;
  }

  saveClientInformation(client) {
    this.kept.client = client;
  }

  tokens() {
    return this.kept.tokens;
  }

  saveTokens(tokens) {
    this.kept.tokens = tokens;
  }

  redirectToAuthorization(url) {
    this.kept.authorizationUrl = url;
  }

  saveCodeVerifier(verifier) {
    this.kept.verifier = verifier;
  }

  codeVerifier() {
    return this.kept.verifier;
  }

  saveDiscoveryState(discovery) {
    this.kept.discovery = discovery;
  }

  discoveryState() {
    return this.kept.discovery;
  }

  invalidateCredentials(scope) {
    const names = { client: ['client'], tokens: ['tokens'], verifier: ['verifier'], discovery: ['discovery'] };
    for (const name of names[scope] ?? ['client', 'tokens', 'verifier', 'discovery']) delete this.kept[name];
  }
}

/** The same token with a signature that isn't one; everything else in it still reads well. */
export function damaged(token) {
  const at = token.lastIndexOf('.') + 1;
  return token.slice(0, at) + [...token.slice(at)].reverse().join('');
}
