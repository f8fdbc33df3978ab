//! `health`: asks the server on this machine, so that a container needs no other program for its health check.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{CliError, say};
use crate::config::Config;

pub(super) async fn run(config: &Config) -> Result<(), CliError> {
    let address = match config.listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, config.listen.port())),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, config.listen.port())),
        IpAddr::V4(_) | IpAddr::V6(_) => config.listen,
    };
    let answer = tokio::time::timeout(Duration::from_secs(5), ask(address)).await;
    match answer {
        Ok(Ok(status)) if status.contains(" 200 ") => say("ready"),
        Ok(Ok(status)) => Err(CliError::Other(format!("the server at {address} is not ready: {status}"))),
        Ok(Err(error)) => Err(CliError::Other(format!("the server at {address} can't be reached: {error}"))),
        Err(_) => Err(CliError::Other(format!("the server at {address} did not answer within 5 seconds"))),
    }
}

async fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(1024).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}
