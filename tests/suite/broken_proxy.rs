//! A reverse proxy in this process with one defect: what stands in front of real deployments, as it really goes wrong.

#![expect(clippy::wildcard_enum_match_arm, reason = "each step of the proxy looks for its own defects only")]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HOST, LOCATION, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::server::TlsStream;

use crate::server::{Database, OwnDatabase, TestServer, http};

/// What is wrong with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Nothing.
    None,
    /// The Authorization header does not reach the server.
    StripsAuthorization,
    /// OPTIONS is sent to a login.
    RedirectsPreflights,
    /// OPTIONS needs a login.
    GuardsPreflights,
    /// Addresses in bodies and in the challenge begin with http://.
    LeaksHttp,
    /// Addresses in bodies and in the challenge name the inner host.
    LeaksHost,
    /// Answers are passed on when they are whole.
    Buffers,
    /// Answers to requests of this agent are pages with 403.
    BlocksAgent(&'static str),
    /// Connections of this agent are closed.
    ClosesOnAgent(&'static str),
    /// `/mcp` is sent to `/mcp/`.
    AddsSlashToMcp,
    /// So are the endpoints for programs.
    AddsSlashToEndpoints,
    /// A website answers under /.well-known/ where the server has nothing.
    SpaForUnknown,
    /// All of /.well-known/ fails.
    BreaksWellKnown,
    /// Challenges lose their header.
    StripsChallenge,
    /// The issuer gets a slash in the server's documents.
    SlashesIssuer,
    /// One document comes from an old cache.
    ServesOldDocument,
    /// No CORS headers.
    StripsCors,
    /// CORS headers are there, and the challenge is not exposed.
    HidesChallengeFromPages,
    /// Another Host header, a foreign one.
    ForeignHost,
    /// The server behind is away.
    LosesServer,
    /// A login page for everything.
    LoginForAll,
    /// The way in says that it was http.
    SaysHttp,
    /// PKCE is not announced any more.
    DropsS256,
    /// Event streams are compressed.
    Compresses,
    /// Only the root's resource metadata is passed on.
    OnlyRootMetadata,
}

/// How it is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// Plain http.
    Http,
    /// TLS with a certificate of an authority that tests can trust.
    Tls,
    /// TLS with a certificate that is over.
    Expired,
    /// TLS with a certificate that nobody signed.
    SelfSigned,
    /// TLS with a certificate for another name.
    OtherName,
    /// TLS with a certificate that is over in a few days.
    EndsSoon,
}

/// A proxy before a server that knows its address.
pub struct BrokenProxy {
    pub server: TestServer,
    /// Where clients come: the server's public address.
    pub origin: String,
    /// The authority's certificate, for `--ca-file`.
    pub ca_file: std::path::PathBuf,
    _stop: watch::Sender<()>,
}

impl Drop for BrokenProxy {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.ca_file);
    }
}

impl BrokenProxy {
    /// A proxy with this defect, over plain http.
    pub async fn new(defect: Defect) -> Self {
        Self::behind(Front::Http, defect).await
    }

    /// A proxy with this defect, spoken to in this way.
    pub async fn behind(front: Front, defect: Defect) -> Self {
        Self::with(front, defect, &[]).await
    }

    /// The same before a server with some settings changed.
    pub async fn with(front: Front, defect: Defect, settings: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if front == Front::Http { "http" } else { "https" };
        let origin = format!("{scheme}://127.0.0.1:{}", address.port());
        let database = OwnDatabase::new(Database::Sqlite).await;
        // What an https address demands of passwords, at least.
        let settings = [&[("PORTCULLIS__PASSWORDS__MEMORY_KIB", "8192")], settings].concat();
        let server = TestServer::on(database, &settings, Some(&origin)).await;
        let (acceptor, pem) = acceptor(front);
        let ca_file = std::env::temp_dir().join(format!("portcullis_ca_{}.pem", crate::server::unique()));
        std::fs::write(&ca_file, pem).unwrap();
        let state = Arc::new(Pass { defect, inner: server.address.clone(), origin: origin.clone(), http: http() });
        let router = Router::new().fallback(move |request: Request| {
            let pass = Arc::clone(&state);
            async move { Ok::<_, Infallible>(pass.pass(request).await) }
        });
        let (stop, mut stopped) = watch::channel(());
        let until = async move { drop(stopped.changed().await) };
        match acceptor {
            None => drop(tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(until).into_future())),
            Some(acceptor) => {
                let tls = Tls { listener, acceptor };
                drop(tokio::spawn(axum::serve(tls, router).with_graceful_shutdown(until).into_future()));
            }
        }
        Self { server, origin, ca_file, _stop: stop }
    }

    pub fn mcp(&self) -> String {
        format!("{}/mcp", self.origin)
    }
}

struct Pass {
    defect: Defect,
    inner: String,
    origin: String,
    http: reqwest::Client,
}

fn page(status: StatusCode) -> Response<Body> {
    let page = "<!doctype html><title>x</title><p>Not the server";
    Response::builder().status(status).header("content-type", "text/html").body(Body::from(page)).unwrap()
}

fn to(status: StatusCode, location: &str) -> Response<Body> {
    Response::builder().status(status).header(LOCATION, location).body(Body::empty()).unwrap()
}

impl Pass {
    async fn pass(&self, request: Request) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        if let Some(answer) = self.instead(&parts.method, &path, &parts.headers) {
            return answer;
        }
        let mut headers = parts.headers.clone();
        match self.defect {
            Defect::StripsAuthorization => drop(headers.remove("authorization")),
            Defect::ForeignHost => drop(headers.insert(HOST, HeaderValue::from_static("inner.example"))),
            Defect::SaysHttp => drop(headers.insert("x-forwarded-proto", HeaderValue::from_static("http"))),
            _ => {}
        }
        headers.remove(CONTENT_LENGTH);
        headers.remove(ACCEPT_ENCODING);
        let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let request =
            self.http.request(parts.method, format!("{}{path}{query}", self.inner)).headers(headers).body(body);
        let answer = request.send().await.unwrap();
        self.back(&path, answer).await
    }

    /// Answers that the proxy makes itself.
    fn instead(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<Response<Body>> {
        let agent = headers.get("user-agent").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let endpoint = matches!(path, "/token" | "/register" | "/revoke");
        match self.defect {
            Defect::RedirectsPreflights if method == Method::OPTIONS => {
                Some(to(StatusCode::FOUND, "https://login.example/start"))
            }
            Defect::GuardsPreflights if method == Method::OPTIONS => Some(page(StatusCode::UNAUTHORIZED)),
            Defect::BlocksAgent(word) if agent.contains(word) => Some(page(StatusCode::FORBIDDEN)),
            // The one way to close a connection from in here, without the noise of a panic.
            Defect::ClosesOnAgent(word) if agent.contains(word) => std::panic::resume_unwind(Box::new("closed")),
            Defect::AddsSlashToMcp if path == "/mcp" => Some(to(StatusCode::PERMANENT_REDIRECT, "/mcp/")),
            Defect::AddsSlashToEndpoints if endpoint && method == Method::POST => {
                Some(to(StatusCode::MOVED_PERMANENTLY, &format!("{path}/")))
            }
            Defect::BreaksWellKnown if path.starts_with("/.well-known") || path.starts_with("/mcp/.well-known") => {
                Some(page(StatusCode::INTERNAL_SERVER_ERROR))
            }
            Defect::OnlyRootMetadata if path.contains("well-known") && path.contains("mcp") => Some(
                Response::builder().status(404).header("content-type", "application/json").body("{}".into()).unwrap(),
            ),
            Defect::LosesServer => Some(page(StatusCode::BAD_GATEWAY)),
            Defect::LoginForAll => Some(to(StatusCode::FOUND, "https://login.example/start")),
            Defect::ServesOldDocument if path == "/.well-known/oauth-protected-resource" => {
                let old = format!("{{\"resource\":\"{0}/mcp\",\"authorization_servers\":[\"{0}\"]}}", self.origin);
                let answer = Response::builder().header("content-type", "application/json").header("age", "90000");
                Some(answer.header("access-control-allow-origin", "*").body(Body::from(old)).unwrap())
            }
            _ => None,
        }
    }

    async fn back(&self, path: &str, answer: reqwest::Response) -> Response<Body> {
        let mut response = Response::builder().status(answer.status()).body(Body::empty()).unwrap();
        let mut headers = answer.headers().clone();
        headers.remove("transfer-encoding");
        let unknown = path.contains(".well-known") && answer.status() == StatusCode::NOT_FOUND;
        match self.defect {
            Defect::StripsChallenge => drop(headers.remove(WWW_AUTHENTICATE)),
            Defect::StripsCors => {
                for name in ["origin", "methods", "headers"] {
                    headers.remove(format!("access-control-allow-{name}"));
                }
                headers.remove("access-control-expose-headers");
            }
            Defect::HidesChallengeFromPages => drop(headers.remove("access-control-expose-headers")),
            Defect::SpaForUnknown if unknown => return page(StatusCode::OK),
            _ => {}
        }
        if let Some(value) = headers.get_mut(WWW_AUTHENTICATE) {
            *value = HeaderValue::from_str(&self.rewritten(value.to_str().unwrap().to_owned())).unwrap();
        }
        let is_stream = headers.get("content-type").is_some_and(|kind| kind == "text/event-stream");
        if is_stream && self.defect == Defect::Compresses {
            headers.insert("content-encoding", HeaderValue::from_static("gzip"));
        }
        *response.headers_mut() = headers;
        let streams = is_stream && self.defect != Defect::Buffers;
        *response.body_mut() = if streams {
            Body::from_stream(answer.bytes_stream())
        } else {
            response.headers_mut().remove(CONTENT_LENGTH);
            let bytes = answer.bytes().await.unwrap();
            match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Body::from(self.rewritten(text)),
                Err(_) => Body::from(bytes),
            }
        };
        response
    }

    fn rewritten(&self, text: String) -> String {
        match self.defect {
            Defect::LeaksHttp => text.replace("https://", "http://"),
            Defect::LeaksHost => text.replace(&self.origin, &self.inner),
            Defect::SlashesIssuer => {
                text.replace(&format!("\"issuer\":\"{}\"", self.origin), &format!("\"issuer\":\"{}/\"", self.origin))
            }
            Defect::DropsS256 => text.replace("\"S256\"", "\"plain\""),
            _ => text,
        }
    }
}

/// TLS over TCP, as `axum::serve` wants it.
struct Tls {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl axum::serve::Listener for Tls {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = self.listener.accept().await.unwrap();
            // Who does not like the certificate hangs up.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// What shows the certificate, and the authority's certificate (PEM).
fn acceptor(front: Front) -> (Option<TlsAcceptor>, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let name = if front == Front::OtherName { "other.example" } else { "127.0.0.1" };
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = match front {
        Front::Expired => rcgen::date_time_ymd(2021, 1, 1),
        _ => rcgen::date_time_ymd(2099, 1, 1),
    };
    if front == Front::EndsSoon {
        // The clock of every test stands at a fixed moment, shortly before this one.
        params.not_after = rcgen::date_time_ymd(2027, 1, 20);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = match front {
        Front::SelfSigned => params.self_signed(&key).unwrap(),
        _ => params.signed_by(&key, &authority).unwrap(),
    };
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key);
    let acceptor = (front != Front::Http).then(|| TlsAcceptor::from(Arc::new(config.unwrap())));
    (acceptor, authority.pem())
}
