// A client taken apart into its steps, with the official SDK's own functions, for the tests that
// look at the browser's side of a connection.
import { randomBytes } from 'node:crypto';
import {
  discoverOAuthServerInfo,
  exchangeAuthorization,
  refreshAuthorization,
  registerClient,
  startAuthorization,
} from '@modelcontextprotocol/sdk/client/auth.js';

export async function connector({ issuer, mcpUrl }, redirectUri, { clientName = 'Portcullis page tests' } = {}) {
  const { authorizationServerUrl, authorizationServerMetadata: metadata, resourceMetadata } = await discoverOAuthServerInfo(mcpUrl);
  if (authorizationServerUrl !== issuer) throw new Error(`${authorizationServerUrl} is not ${issuer}`);
  const clientInformation = await registerClient(authorizationServerUrl, {
    metadata,
    clientMetadata: {
      client_name: clientName,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
  });
  const { resource, scopes_supported: scopes } = resourceMetadata;

  return {
    clientInformation,

    /** One attempt: `{ url, state, redeem(answer) }`. */
    async attempt() {
      const state = `${randomBytes(9).toString('base64')}+/=`;
      const { authorizationUrl, codeVerifier } = await startAuthorization(authorizationServerUrl, {
        metadata,
        clientInformation,
        state,
        redirectUrl: redirectUri,
        scope: scopes.join(' '),
        resource,
      });
      return {
        url: authorizationUrl.href,
        state,
        redeem: (answer) =>
          exchangeAuthorization(authorizationServerUrl, {
            metadata,
            clientInformation,
            authorizationCode: answer.get('code'),
            codeVerifier,
            redirectUri,
            resource,
          }),
      };
    },

    refresh: (refreshToken) =>
      refreshAuthorization(authorizationServerUrl, { metadata, clientInformation, refreshToken, resource }),
  };
}
