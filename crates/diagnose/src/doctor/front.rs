//! What stands in front of the server, and how to set it right in its own words.

use super::reply::Answer;

/// A reverse proxy or a network that operators know how to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// nginx.
    Nginx,
    /// Caddy.
    Caddy,
    /// Traefik.
    Traefik,
    /// The Apache HTTP server.
    Apache,
    /// Cloudflare.
    Cloudflare,
}

impl Front {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Caddy => "Caddy",
            Self::Traefik => "Traefik",
            Self::Apache => "Apache",
            Self::Cloudflare => "Cloudflare",
        }
    }

    /// Who says by an answer's headers that it passed it on.
    #[must_use]
    pub(super) fn of(answer: &Answer) -> Option<Self> {
        if answer.header("cf-ray").is_some() {
            return Some(Self::Cloudflare);
        }
        let said: Vec<String> = answer.all("server").chain(answer.all("via")).map(str::to_ascii_lowercase).collect();
        [Self::Cloudflare, Self::Nginx, Self::Caddy, Self::Traefik, Self::Apache]
            .into_iter()
            .find(|front| said.iter().any(|text| text.contains(&front.name().to_ascii_lowercase())))
    }
}

type Ways = &'static [(Front, &'static str)];

pub(super) const PASS_ALL: Ways = &[
    (
        Front::Nginx,
        "one `location / { proxy_pass http://127.0.0.1:8080; proxy_set_header Host $host; }` for everything; no `try_files` or `error_page` for /.well-known",
    ),
    (Front::Caddy, "`reverse_proxy 127.0.0.1:8080` for the whole site, before any `file_server` or `try_files`"),
    (
        Front::Traefik,
        "a router with the rule Host(`…`) alone, not PathPrefix(`/mcp`), and a higher priority than the website's",
    ),
    (
        Front::Apache,
        "`ProxyPass / http://127.0.0.1:8080/ nocanon`; exclude /.well-known from `FallbackResource` and from rewrites",
    ),
    (Front::Cloudflare, "look at Rules → Redirect Rules, Page Rules and Workers routes: none may answer for this host"),
];

pub(super) const NO_REDIRECT: Ways = &[
    (
        Front::Nginx,
        "remove `rewrite … permanent` for slashes; use `location = /mcp` and `location /mcp/`, each with proxy_pass (a `location /mcp/` alone makes nginx redirect /mcp)",
    ),
    (Front::Caddy, "remove `redir` for slashes; `handle /mcp*` matches both spellings"),
    (Front::Traefik, "take the redirectRegex or redirectScheme middleware off this router"),
    (Front::Apache, "set `DirectorySlash Off` and remove RewriteRules that add a slash"),
    (Front::Cloudflare, "turn off URL normalization to origin and Redirect Rules that add or remove a slash"),
];

pub(super) const NO_LOGIN: Ways = &[
    (Front::Nginx, "`auth_request off;` in the locations of /mcp, /.well-known/, /token, /register, /revoke and /jwks"),
    (Front::Caddy, "keep `forward_auth` and `basic_auth` out of the block of this site"),
    (
        Front::Traefik,
        "take the forwardAuth or basicAuth middleware off this router; with oauth2-proxy: `--skip-auth-route` for these paths and `--skip-auth-preflight`",
    ),
    (Front::Apache, "`Require all granted` and `AuthType None` for this host"),
    (Front::Cloudflare, "Zero Trust → Access → Applications: a Bypass policy for this host, or none at all"),
];

pub(super) const PREFLIGHT: Ways = &[
    (
        Front::Nginx,
        "let OPTIONS through to the server: no `if ($request_method = OPTIONS)`, no `limit_except`, no `auth_request` for it",
    ),
    (Front::Caddy, "let OPTIONS reach `reverse_proxy`: no `respond` for it and no `forward_auth` before it"),
    (
        Front::Traefik,
        "no headers middleware with accessControl…, which would answer in the server's place; oauth2-proxy: `--skip-auth-preflight=true`",
    ),
    (Front::Apache, "exempt OPTIONS from authentication: `<LimitExcept OPTIONS>` around `Require`"),
    (Front::Cloudflare, "Zero Trust → Access → the application → Settings → CORS: bypass OPTIONS requests to origin"),
];

pub(super) const CORS: Ways = &[
    (Front::Nginx, "no `proxy_hide_header Access-Control-…` and no `add_header Access-Control-…` of its own"),
    (Front::Caddy, "no `header -Access-Control-*` and none set by hand"),
    (Front::Traefik, "no headers middleware with accessControl… options"),
    (Front::Apache, "no `Header unset Access-Control-…`"),
    (Front::Cloudflare, "Rules → Transform Rules → Modify Response Header: none may touch Access-Control-…"),
];

pub(super) const HEADERS_OUT: Ways = &[
    (Front::Nginx, "no `proxy_hide_header WWW-Authenticate`, no `proxy_intercept_errors on` and no `error_page 401`"),
    (Front::Caddy, "no `header -WWW-Authenticate`, no `handle_errors` or `handle_response` for 401"),
    (Front::Traefik, "no errors middleware for 401 and no headers middleware that empties WWW-Authenticate"),
    (Front::Apache, "no `Header unset WWW-Authenticate` and `ProxyErrorOverride Off`"),
    (Front::Cloudflare, "Rules → Transform Rules → Modify Response Header: none may remove WWW-Authenticate"),
];

pub(super) const AUTHORIZATION: Ways = &[
    (
        Front::Nginx,
        "remove `proxy_set_header Authorization \"\"`; for FastCGI add `fastcgi_param HTTP_AUTHORIZATION $http_authorization;`",
    ),
    (Front::Caddy, "remove `header_up -Authorization` and any `basic_auth` on this site"),
    (
        Front::Traefik,
        "basicAuth with `removeHeader: true` and headers with an empty Authorization both drop it: take them off this router",
    ),
    (
        Front::Apache,
        "`CGIPassAuth On`, or `SetEnvIf Authorization \"(.*)\" HTTP_AUTHORIZATION=$1`; no `RequestHeader unset Authorization`",
    ),
    (
        Front::Cloudflare,
        "Rules → Transform Rules → Modify Request Header: none may remove Authorization; look at Workers too",
    ),
];

pub(super) const HOST: Ways = &[
    (Front::Nginx, "`proxy_set_header Host $host;` (with a port in the address: `$http_host`)"),
    (Front::Caddy, "nothing to set: Caddy passes Host on; remove `header_up Host …`"),
    (Front::Traefik, "`passHostHeader: true` on the service (the default)"),
    (Front::Apache, "`ProxyPreserveHost On`"),
    (Front::Cloudflare, "Rules → Origin Rules: no Host header override; a tunnel: no `httpHostHeader`"),
];

pub(super) const PUBLIC_URL: Ways = &[
    (Front::Nginx, "no `sub_filter` and no `proxy_redirect` for these answers"),
    (Front::Caddy, "no `replace` and no `header_down Location`"),
    (Front::Traefik, "no rewriteBody plugin on this router"),
    (Front::Apache, "no `Substitute`, no `ProxyHTMLURLMap` for JSON"),
    (Front::Cloudflare, "no Worker may rewrite the answers"),
];

pub(super) const SCHEME: Ways = &[
    (
        Front::Nginx,
        "`proxy_set_header X-Forwarded-Proto $scheme;`, and where another proxy ends TLS, pass its value on",
    ),
    (Front::Caddy, "`trusted_proxies` names the proxy in front, so that its value is kept"),
    (Front::Traefik, "`forwardedHeaders.trustedIPs` of the entry point names the proxy in front"),
    (Front::Apache, "`RequestHeader set X-Forwarded-Proto https`"),
    (Front::Cloudflare, "SSL/TLS → Overview: Full (strict)"),
];

pub(super) const FORWARDED: Ways = &[
    (Front::Nginx, "`proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`"),
    (
        Front::Caddy,
        "nothing to set: Caddy writes X-Forwarded-For; behind another proxy name that one in its `trusted_proxies`",
    ),
    (
        Front::Traefik,
        "nothing to set; behind another proxy name that one in `forwardedHeaders.trustedIPs` of the entry point",
    ),
    (Front::Apache, "nothing to set: mod_proxy writes X-Forwarded-For; remove `ProxyAddHeaders Off`"),
    (
        Front::Cloudflare,
        "a tunnel connects from its own machine: list that address; without one list Cloudflare's networks beside your own proxy's",
    ),
];

pub(super) const STREAM: Ways = &[
    (
        Front::Nginx,
        "`proxy_buffering off; proxy_cache off; gzip off; proxy_read_timeout 1h; proxy_http_version 1.1;` in the location; don't `proxy_ignore_headers X-Accel-Buffering`",
    ),
    (Front::Caddy, "`reverse_proxy … { flush_interval -1 }`; keep `encode` away from text/event-stream"),
    (Front::Traefik, "no buffering middleware; compress with `excludedContentTypes: [text/event-stream]`"),
    (Front::Apache, "`ProxyPass … flushpackets=on` and `SetEnv no-gzip 1`"),
    (
        Front::Cloudflare,
        "turn off Response Buffering (Enterprise) and Rocket Loader; a quick tunnel collects event streams, a named one does not",
    ),
];

pub(super) const BOTS: Ways = &[
    (Front::Nginx, "look for `if ($http_user_agent …)`, `map $http_user_agent` and bot block lists; exempt this host"),
    (Front::Caddy, "look for `@bots header User-Agent …` and WAF plugins; exempt this host"),
    (Front::Traefik, "take bot-blocking plugins and the rule HeaderRegexp(`User-Agent`, …) off this router"),
    (
        Front::Apache,
        "look for `BrowserMatch`, `RewriteCond %{HTTP_USER_AGENT}` and ModSecurity rules; exempt this host",
    ),
    (
        Front::Cloudflare,
        "Security → Bots → Block AI bots: off (or AI Crawl Control → allow this crawler), Bot Fight Mode: off; or Security → WAF → Custom rules → Skip for this host with all managed rules and Super Bot Fight Mode",
    ),
];

pub(super) const CACHE: Ways = &[
    (Front::Nginx, "`proxy_cache off;` or `proxy_no_cache 1;` for /.well-known/; then empty the cache folder"),
    (Front::Caddy, "keep the cache module away from /.well-known/*"),
    (Front::Traefik, "no cache plugin on this router"),
    (Front::Apache, "`CacheDisable /`; then htcacheclean"),
    (Front::Cloudflare, "Caching → Configuration → Purge Everything; Cache Rules: bypass for this host"),
];

pub(super) const TLS: Ways = &[
    (Front::Nginx, "`ssl_certificate` must name the full chain (fullchain.pem), then reload nginx"),
    (Front::Caddy, "`tls` with your own files switches renewal off; without it Caddy renews by itself: read its log"),
    (Front::Traefik, "check the certificate resolver's log and acme.json"),
    (Front::Apache, "`SSLCertificateFile` must name the full chain, then reload Apache"),
    (
        Front::Cloudflare,
        "SSL/TLS → Edge Certificates: the certificate must cover this host; the free one covers one level of names only",
    ),
];

#[cfg(test)]
mod tests {
    use super::Front;
    use crate::doctor::reply::Answer;

    #[test]
    fn what_stands_in_front_is_known_by_its_headers() {
        let of = |name: &str, value: &str| {
            Front::of(&Answer { headers: vec![(name.to_owned(), value.to_owned())], ..Answer::default() })
        };
        assert_eq!(of("server", "nginx/1.27.0"), Some(Front::Nginx));
        assert_eq!(of("via", "1.1 Caddy"), Some(Front::Caddy));
        assert_eq!(of("cf-ray", "x"), Some(Front::Cloudflare));
        assert_eq!(of("server", "Apache"), Some(Front::Apache));
        assert_eq!(of("server", "something else"), None);
    }
}
