//! Other people's servers: HTTPS on loopback under any name, with a throw-away authority, and a resolver that leads
//! there. What they answer, and how badly, is the test's choice; what they were asked is counted.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use portcullis::fetch::Resolver;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{DEFAULT_VERSIONS, ServerConfig};

/// What a server sends back.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes, then the end.
    Raw(Vec<u8>),
    /// These bytes, one at a time with pauses between them.
    Drip(Vec<u8>, Duration),
    /// Nothing, for ever.
    Silence,
}

impl Reply {
    /// Any answer.
    pub fn new(status: &str, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut text = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.extend_from_slice(body);
        Self::Raw(bytes)
    }

    /// A good JSON answer.
    pub fn json(value: &Value) -> Self {
        Self::new("200 OK", &[("content-type", "application/json")], value.to_string())
    }

    /// A good JSON answer with a `Cache-Control`.
    pub fn cached(value: &Value, control: &str) -> Self {
        Self::new("200 OK", &[("content-type", "application/json"), ("cache-control", control)], value.to_string())
    }

    /// The same answer, slowly.
    pub fn dripping(self, pause: Duration) -> Self {
        match self {
            Self::Raw(bytes) | Self::Drip(bytes, _) => Self::Drip(bytes, pause),
            Self::Silence => Self::Silence,
        }
    }
}

/// The authority that signs every certificate of this run, and its certificate as a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: PathBuf,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).unwrap();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("authority_{}.pem", std::process::id()));
    std::fs::write(&file, certificate.pem()).unwrap();
    Authority { issuer: Issuer::new(params, key), file }
});

/// The file with the authority's certificate.
pub fn ca_file() -> PathBuf {
    AUTHORITY.file.clone()
}

fn tls(names: &[&str]) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &AUTHORITY.issuer).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(DEFAULT_VERSIONS)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// A server of some vendors, known by several names.
#[derive(Clone)]
pub struct Vendor {
    pub address: SocketAddr,
    replies: Arc<Mutex<HashMap<String, Reply>>>,
    asked: Arc<Mutex<Vec<String>>>,
    connections: Arc<Mutex<usize>>,
}

impl Vendor {
    /// Starts one with a certificate for these names.
    pub async fn start(names: &[&str]) -> Self {
        let tls = tls(names);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let vendor = Self {
            address: listener.local_addr().unwrap(),
            replies: Arc::default(),
            asked: Arc::default(),
            connections: Arc::default(),
        };
        let own = vendor.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *own.connections.lock().unwrap() += 1;
                let (own, tls) = (own.clone(), tls.clone());
                tokio::spawn(async move {
                    if let Ok(stream) = tls.accept(stream).await {
                        own.serve(stream).await;
                    }
                });
            }
        });
        vendor
    }

    async fn serve(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut request = Vec::new();
        let mut chunk = [0; 4096];
        while !request.windows(4).any(|window| window == b"\r\n\r\n") {
            match stream.read(&mut chunk).await {
                Ok(read) if read > 0 => request.extend_from_slice(&chunk[..read]),
                _ => return,
            }
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push(text);
        let replies = self.replies.lock().unwrap().clone();
        let reply = replies.get(&format!("{host}{path}")).or_else(|| replies.get(&path)).cloned();
        match reply.unwrap_or_else(|| Reply::new("404 Not Found", &[], "")) {
            Reply::Raw(bytes) => {
                let _ = stream.write_all(&bytes).await;
            }
            Reply::Drip(bytes, pause) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                        return;
                    }
                    tokio::time::sleep(pause).await;
                }
            }
            Reply::Silence => std::future::pending().await,
        }
        let _ = stream.shutdown().await;
    }

    /// Says what a path is answered with, on all hosts, or of one host: `/x` or `host/x`.
    pub fn answer(&self, place: &str, reply: Reply) {
        self.replies.lock().unwrap().insert(place.to_owned(), reply);
    }

    /// The requests so far, as they came.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// How often a path was asked for.
    pub fn count(&self, path: &str) -> usize {
        self.asked().iter().filter(|request| request.split(' ').nth(1) == Some(path)).count()
    }

    /// How many connections were made, whatever came of them.
    pub fn connections(&self) -> usize {
        *self.connections.lock().unwrap()
    }

    /// A resolver that leads every name here, whatever port the URL leaves out.
    pub fn resolver(&self) -> Resolver {
        let address = self.address;
        Resolver::given(move |_| Ok(vec![address]))
    }
}

/// A resolver with one answer for every name.
pub fn resolver(addresses: &[&str], port: u16) -> Resolver {
    let addresses: Vec<SocketAddr> =
        addresses.iter().map(|text| SocketAddr::new(text.parse().unwrap(), port)).collect();
    Resolver::given(move |_| Ok(addresses.clone()))
}

/// A resolver that knows no name.
pub fn lost() -> Resolver {
    Resolver::given(|_| Err(io::Error::other("no such host")))
}

/// A resolver with another answer each time; the last one stays.
pub fn changing(answers: &[Ipv4Addr], port: u16) -> Resolver {
    let answers: Mutex<Vec<Ipv4Addr>> = Mutex::new(answers.iter().rev().copied().collect());
    Resolver::given(move |_| {
        let mut left = answers.lock().unwrap();
        let next = if left.len() > 1 { left.pop() } else { left.last().copied() };
        Ok(vec![SocketAddr::from((next.unwrap(), port))])
    })
}
