//! Fetching what strangers name, over real sockets: which answers count, and where no connection ever goes.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use oauth::https_url::HttpsUrl;
use oauth::time::Timestamp;
use portcullis::fetch::{FetchError, FetchSettings, Fetched, Fetcher, Freshness, Resolver};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::vendor::{Reply, Vendor, ca_file, changing, lost, resolver};

const HOST: &str = "app.example.com";
const MOST: usize = 16 * 1024;

fn settings() -> FetchSettings {
    FetchSettings {
        timeout: Duration::from_secs(5),
        at_once: 4,
        proxy: None,
        ca_file: Some(ca_file()),
        allowed_networks: vec!["127.0.0.1/32".parse().unwrap()],
    }
}

async fn fetch_with(settings: FetchSettings, resolver: Resolver, url: &str) -> Result<Fetched, FetchError> {
    let port = url::Url::parse(url).unwrap().port_or_known_default().unwrap();
    let url = HttpsUrl::parse(url, &[port]).unwrap();
    Fetcher::new(settings, resolver).unwrap().fetch(&url, MOST, Timestamp(1_800_000_000)).await
}

async fn fetch(vendor: &Vendor, path: &str) -> Result<Fetched, FetchError> {
    fetch_with(settings(), vendor.resolver(), &format!("https://{HOST}{path}")).await
}

/// R-32: a good answer, and what is asked for.
#[tokio::test]
async fn json_is_fetched_with_one_plain_get() {
    let vendor = Vendor::start(&[HOST]).await;
    vendor.answer("/a", Reply::cached(&json!({ "a": 1 }), "max-age=90"));
    let fetched = fetch(&vendor, "/a").await.unwrap();
    assert_eq!(fetched, Fetched { body: br#"{"a":1}"#.to_vec(), freshness: Freshness::For(Duration::from_secs(90)) });
    let asked = vendor.asked();
    assert_eq!(asked.len(), 1);
    let request = asked[0].to_ascii_lowercase();
    assert!(request.starts_with("get /a http/1.1\r\n"), "{request}");
    assert!(request.contains("\r\naccept: application/json\r\n") && request.contains(&format!("host: {HOST}\r\n")));
    for unwanted in ["cookie", "authorization", "referer", "accept-encoding"] {
        assert!(!request.contains(unwanted), "{request}");
    }
    vendor.answer(
        "/b",
        Reply::new(
            "200 OK",
            &[("content-type", "application/jwk-set+json; charset=utf-8"), ("set-cookie", "a=b")],
            "{}",
        ),
    );
    assert!(fetch(&vendor, "/b").await.is_ok());
    // The port of the URL goes before the resolver's.
    let by_port = format!("https://{HOST}:{}/a", vendor.address.port());
    assert!(fetch_with(settings(), resolver(&["127.0.0.1"], 1), &by_port).await.is_ok());
}

/// The number at the beginning of a status line.
fn number(status: &str) -> u16 {
    status.split(' ').next().unwrap().parse().unwrap()
}

/// R-32, B-12: only 200, only JSON, no redirects.
#[tokio::test]
async fn redirects_statuses_and_media_types_are_refused() {
    let vendor = Vendor::start(&[HOST]).await;
    let json = ("content-type", "application/json");
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        vendor.answer("/r", Reply::new(status, &[json, ("location", "https://app.example.com/target")], "{}"));
        let refused = fetch(&vendor, "/r").await.unwrap_err();
        let expected = FetchError::Redirect { status: number(status), to: "https://app.example.com/target".into() };
        assert_eq!(refused, expected, "{status}");
    }
    assert_eq!(vendor.count("/target"), 0);
    for status in
        ["201 Created", "202 Accepted", "203 Other", "204 No Content", "206 Partial", "304 Same", "403 No", "500 Oh"]
    {
        vendor.answer(
            "/s",
            Reply::new(status, &[json], if status.starts_with("204") || status.starts_with("304") { "" } else { "{}" }),
        );
        assert_eq!(fetch(&vendor, "/s").await, Err(FetchError::Status(number(status))), "{status}");
    }
    for media in [
        "text/html",
        "text/plain",
        "text/json",
        "application/javascript",
        "application/+json",
        "json",
        "application/jsonp",
        "",
    ] {
        vendor.answer("/m", Reply::new("200 OK", &[("content-type", media)], "{}"));
        assert!(matches!(fetch(&vendor, "/m").await, Err(FetchError::MediaType(_))), "{media}");
    }
    vendor.answer("/m", Reply::new("200 OK", &[], "{}"));
    assert!(matches!(fetch(&vendor, "/m").await, Err(FetchError::MediaType(_))));
    vendor.answer("/m", Reply::new("200 OK", &[json, ("content-type", "text/html")], "{}"));
    assert!(matches!(fetch(&vendor, "/m").await, Err(FetchError::MediaType(_))));
}

/// R-32, B-12: too much and too slow.
#[tokio::test]
async fn large_and_slow_answers_are_cut_off() {
    let vendor = Vendor::start(&[HOST]).await;
    let large = vec![b' '; MOST + 6 * 1024];
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
    vendor.answer("/announced", Reply::new("200 OK", &[("content-type", "application/json")], &large));
    let unannounced = [format!("{head}connection: close\r\n\r\n").as_bytes(), &large].concat();
    vendor.answer("/unannounced", Reply::Raw(unannounced));
    let endless =
        format!("{head}transfer-encoding: chunked\r\n\r\n{}", format!("1000\r\n{}\r\n", " ".repeat(4096)).repeat(50));
    vendor.answer("/endless", Reply::Raw(endless.into_bytes()));
    for path in ["/announced", "/unannounced", "/endless"] {
        assert_eq!(fetch(&vendor, path).await, Err(FetchError::TooLarge(MOST)), "{path}");
    }
    let whole = vec![b' '; MOST];
    vendor.answer("/whole", Reply::new("200 OK", &[("content-type", "application/json")], &whole));
    assert_eq!(fetch(&vendor, "/whole").await.unwrap().body.len(), MOST);
    let cut = Reply::Raw(format!("{head}content-length: 50\r\n\r\n{{").into_bytes());
    vendor.answer("/cut", cut);
    assert!(matches!(fetch(&vendor, "/cut").await, Err(FetchError::Broken(_))));

    vendor.answer("/drip", Reply::json(&json!({})).dripping(Duration::from_secs(1)));
    vendor.answer("/silent", Reply::Silence);
    let hurried = || FetchSettings { timeout: Duration::from_millis(700), ..settings() };
    for path in ["/drip", "/silent"] {
        let began = Instant::now();
        let refused = fetch_with(hurried(), vendor.resolver(), &format!("https://{HOST}{path}")).await;
        assert_eq!(refused, Err(FetchError::TooSlow(Duration::from_millis(700))), "{path}");
        assert!(began.elapsed() < Duration::from_secs(4), "{path}");
    }
    // A name server that never answers is cut off by the same clock; so is a TLS handshake that nobody takes part in.
    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to_mute = resolver(&["127.0.0.1"], mute.local_addr().unwrap().port());
    let refused = fetch_with(hurried(), to_mute, &format!("https://{HOST}/x")).await;
    assert_eq!(refused, Err(FetchError::TooSlow(Duration::from_millis(700))));
}

/// R-36, B-12, S2: no connection to what isn't the public internet, in any disguise, not even beside public addresses.
#[tokio::test]
async fn special_addresses_are_refused_before_any_connection() {
    let vendor = Vendor::start(&[HOST]).await;
    let port = vendor.address.port();
    vendor.answer("/x", Reply::json(&json!({})));
    let none = || FetchSettings { allowed_networks: Vec::new(), ..settings() };
    for address in [
        "127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "10.0.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::7f00:1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "2a00::5efe:7f00:1",
        "fe80::1",
        "fd00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
    ] {
        for addresses in [&[address][..], &["93.184.216.34", address], &[address, "93.184.216.34"]] {
            let refused = fetch_with(none(), resolver(addresses, port), &format!("https://{HOST}/x")).await;
            let Err(FetchError::SpecialUse { host, address: told, .. }) = refused else {
                panic!("{addresses:?}: {refused:?}")
            };
            assert_eq!((host.as_str(), told), (HOST, address.parse().unwrap()));
        }
    }
    assert_eq!(vendor.connections(), 0);
    // What the operator allows is let through, and nothing beside it.
    assert!(fetch_with(settings(), resolver(&["127.0.0.1"], port), &format!("https://{HOST}/x")).await.is_ok());
    let beside = fetch_with(settings(), resolver(&["127.0.0.2"], port), &format!("https://{HOST}/x")).await;
    assert!(matches!(beside, Err(FetchError::SpecialUse { .. })));
    for text in ["https://127.0.0.1/x", "https://[::1]/x", "https://[::ffff:7f00:1]/x", "https://0x7f000001/x"] {
        assert!(HttpsUrl::parse(text, &[443]).is_err(), "{text}");
    }
}

/// R-36, S2: the answer that is judged is the one that is used; a name that changes its mind gains nothing.
#[tokio::test]
async fn rebinding_finds_no_second_lookup() {
    let vendor = Vendor::start(&[HOST]).await;
    vendor.answer("/x", Reply::json(&json!({})));
    let (good, inner) = (Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2));
    let trap = TcpListener::bind((inner, vendor.address.port())).await.unwrap();
    let fetcher = Fetcher::new(settings(), changing(&[good, inner], vendor.address.port())).unwrap();
    let url = HttpsUrl::parse(&format!("https://{HOST}/x"), &[443]).unwrap();
    // The first lookup stands for a public address: judged once, connected once.
    assert!(fetcher.fetch(&url, MOST, Timestamp(0)).await.is_ok());
    assert_eq!(vendor.connections(), 1);
    // The next fetch looks again, and judges again; no connection is left over to be used unjudged.
    let refused = fetcher.fetch(&url, MOST, Timestamp(0)).await;
    assert!(matches!(refused, Err(FetchError::SpecialUse { .. })), "{refused:?}");
    let silent = tokio::time::timeout(Duration::from_millis(200), trap.accept()).await;
    assert!(silent.is_err(), "the listener inside was reached");
    assert_eq!(vendor.connections(), 1);
}

/// The name in the certificate is the URL's, not the address's or another vendor's.
#[tokio::test]
async fn the_server_must_prove_its_name() {
    let other = Vendor::start(&["other.example.com"]).await;
    other.answer("/x", Reply::json(&json!({})));
    assert!(matches!(fetch(&other, "/x").await, Err(FetchError::Tls { .. })));
    // A server that speaks no TLS is not listened to.
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to_plain = resolver(&["127.0.0.1"], plain.local_addr().unwrap().port());
    tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{}").await.unwrap();
    });
    let refused = fetch_with(settings(), to_plain, &format!("https://{HOST}/x")).await;
    assert!(matches!(refused, Err(FetchError::Tls { .. })), "{refused:?}");
    let right = Vendor::start(&[HOST]).await;
    let untrusted = FetchSettings { ca_file: None, ..settings() };
    let refused = fetch_with(untrusted, right.resolver(), &format!("https://{HOST}/x")).await;
    assert!(matches!(refused, Err(FetchError::Tls { .. } | FetchError::Setup(_))), "{refused:?}");
    assert_eq!(other.asked().len() + right.asked().len(), 0);
}

/// What can't be reached is told apart from what is refused.
#[tokio::test]
async fn names_and_ports_that_lead_nowhere_are_told() {
    let refused = fetch_with(settings(), lost(), &format!("https://{HOST}/x")).await;
    assert!(matches!(refused, Err(FetchError::Name { .. })), "{refused:?}");
    let refused = fetch_with(settings(), resolver(&[], 1), &format!("https://{HOST}/x")).await;
    assert!(matches!(refused, Err(FetchError::Name { .. })), "{refused:?}");
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let refused = fetch_with(settings(), resolver(&["127.0.0.1"], free), &format!("https://{HOST}/x")).await;
    assert!(matches!(refused, Err(FetchError::Connect { .. })), "{refused:?}");
}

/// R-32: few at once; the next waits a little, then is told to come back.
#[tokio::test]
async fn only_a_few_are_fetched_at_once() {
    let vendor = Vendor::start(&[HOST]).await;
    vendor.answer("/silent", Reply::Silence);
    let one = FetchSettings { at_once: 1, ..settings() };
    let fetcher = std::sync::Arc::new(Fetcher::new(one, vendor.resolver()).unwrap());
    let url = HttpsUrl::parse(&format!("https://{HOST}/silent"), &[443]).unwrap();
    let first = tokio::spawn({
        let (fetcher, url) = (std::sync::Arc::clone(&fetcher), url.clone());
        async move { fetcher.fetch(&url, MOST, Timestamp(0)).await }
    });
    while vendor.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(fetcher.fetch(&url, MOST, Timestamp(0)).await, Err(FetchError::Busy));
    first.abort();
}

/// A forward proxy that opens tunnels to one place, and counts.
async fn proxy(target: std::net::SocketAddr) -> (String, std::sync::Arc<std::sync::Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let own = std::sync::Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let own = std::sync::Arc::clone(&own);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let line = String::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
                let barred = line.contains("barred");
                own.lock().unwrap().push(line);
                if barred {
                    stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                let mut upstream = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut upstream).await;
            });
        }
    });
    (address, asked)
}

/// S2: behind a proxy the proxy resolves and connects; names that are known to lead inside are refused all the same.
#[tokio::test]
async fn a_configured_proxy_is_used_and_nothing_inside_is_asked_of_it() {
    let vendor = Vendor::start(&[HOST]).await;
    vendor.answer("/x", Reply::json(&json!({})));
    let (address, asked) = proxy(vendor.address).await;
    let behind = || FetchSettings { proxy: Some(address.clone()), allowed_networks: Vec::new(), ..settings() };
    let url = format!("https://{HOST}/x");
    // The proxy itself is inside; the name is known to it only, or to both.
    for resolver in [lost(), resolver(&["93.184.216.34"], 0)] {
        assert!(fetch_with(behind(), resolver, &url).await.is_ok());
    }
    assert_eq!(*asked.lock().unwrap(), vec![format!("CONNECT {HOST}:443 HTTP/1.1"); 2]);
    for inside in ["127.0.0.1", "169.254.169.254", "::ffff:10.0.0.1"] {
        let refused = fetch_with(behind(), resolver(&[inside], 0), &url).await;
        assert!(matches!(refused, Err(FetchError::SpecialUse { .. })), "{inside}: {refused:?}");
    }
    assert_eq!((asked.lock().unwrap().len(), vendor.connections()), (2, 2));
    let barred = fetch_with(behind(), lost(), "https://barred.example.com/x").await;
    assert!(matches!(barred, Err(FetchError::Proxy { .. })), "{barred:?}");
    assert!(Fetcher::new(FetchSettings { proxy: Some("::".into()), ..settings() }, lost()).is_err());
}
