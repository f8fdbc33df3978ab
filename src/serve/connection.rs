//! One connection: HTTP/1.1, or HTTP/2 without TLS from a proxy that begins with it (RFC 9113 §3.3), and how long it may
//! take over what.
//!
//! The HTTP library knows requests; what it doesn't limit is limited here from what passes by: when requests begin and
//! end, and when bytes are read or can't be written. An answer under way, an event stream above all, has no limit but
//! that its receiver reads.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::Stop;
use super::exchange::exchange;
use crate::config::Connections;

/// How long a receiver may take no byte of what is waiting for it.
const STALLED: Duration = Duration::from_mins(1);
/// How long an end in order may take: half-sent requests after the signal to stop, a farewell by HTTP/2, and reading on
/// after our side is closed, so that the last answer isn't lost to a reset (RFC 9112 §9.6).
const ENDING: Duration = Duration::from_secs(2);
/// How much is read and thrown away then. More than any body that is taken here.
const LINGER_BYTES: u64 = 16 << 20;
/// How often a busy connection is looked at, in case that its end went unnoticed.
const LOOK: Duration = Duration::from_mins(1);
/// HTTP/2: requests at a time on one connection. A proxy opens another when it needs more.
const STREAMS: u32 = 128;
/// HTTP/2: what waits to be sent on one stream.
const STREAM_BUFFER: usize = 64 << 10;
/// HTTP/2: a peer that doesn't answer is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PONG_WITHIN: Duration = Duration::from_secs(20);

/// A moment in a connection's life, or none.
#[derive(Debug, Default)]
struct Moment(AtomicU64);

impl Moment {
    fn set(&self, age: Duration) {
        let millis = u64::try_from(age.as_millis()).unwrap_or(u64::MAX - 1);
        self.0.store(millis.saturating_add(1), Ordering::Relaxed);
    }

    fn clear(&self) {
        if self.0.load(Ordering::Relaxed) != 0 {
            self.0.store(0, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Option<Duration> {
        self.0.load(Ordering::Relaxed).checked_sub(1).map(Duration::from_millis)
    }
}

/// What is known of a connection, shared by those who watch it.
#[derive(Debug)]
pub(super) struct Pulse {
    born: Instant,
    /// Whether its peer is a listed proxy.
    pub(super) of_proxy: bool,
    in_flight: AtomicUsize,
    /// Whether a request has come.
    served: AtomicBool,
    http2: AtomicBool,
    /// Since when no request is under way.
    idle: Moment,
    /// Since when the next one arrives (HTTP/1.1).
    head: Moment,
    /// Since when nothing can be written.
    stalled: Moment,
    /// Since when the peer is asked to end.
    told: Moment,
    /// Since when our side is closed and the other is read to its end.
    lingers: Moment,
    /// Whether nothing was under way when the peer was asked to end: there is no answer to lose.
    quiet: AtomicBool,
    /// What it was told to do, as the number of an [`Order`].
    ordered: AtomicU8,
    /// Something was. One for each connection: what all shared would be locked at every request.
    orders: Notify,
}

/// What a connection is told to do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Order {
    /// End as soon as no answer is lost by it.
    Leave = 1,
    /// End as it is.
    Cut = 2,
}

/// What is due at a deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// Nothing: look again.
    Look,
    /// Ask the peer to end.
    Tell,
    /// End it.
    Cut,
}

/// A request under way, from its head to the end of its answer.
#[derive(Debug)]
pub(super) struct InFlight(Arc<Pulse>);

impl Drop for InFlight {
    fn drop(&mut self) {
        let pulse = &self.0;
        pulse.idle.set(pulse.age());
        pulse.in_flight.fetch_sub(1, Ordering::Release);
    }
}

impl Pulse {
    pub(super) fn new(of_proxy: bool) -> Self {
        Self {
            born: Instant::now(),
            of_proxy,
            in_flight: AtomicUsize::new(0),
            served: AtomicBool::new(false),
            http2: AtomicBool::new(false),
            idle: Moment::default(),
            head: Moment::default(),
            stalled: Moment::default(),
            told: Moment::default(),
            lingers: Moment::default(),
            quiet: AtomicBool::new(false),
            ordered: AtomicU8::new(0),
            orders: Notify::new(),
        }
    }

    fn age(&self) -> Duration {
        self.born.elapsed()
    }

    /// A request begins.
    pub(super) fn begins(self: &Arc<Self>, http2: bool) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Acquire);
        self.served.store(true, Ordering::Relaxed);
        self.http2.store(http2, Ordering::Relaxed);
        self.head.clear();
        InFlight(Arc::clone(self))
    }

    fn is_busy(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) > 0
    }

    /// Since when no request is under way, half-sent ones not counted.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (!self.is_busy()).then(|| self.born + self.idle.get().unwrap_or_default())
    }

    /// Tells it what to do.
    pub(super) fn order(&self, order: Order) {
        self.ordered.fetch_max(order as u8, Ordering::Relaxed);
        self.orders.notify_one();
    }

    /// Whether it was told to leave.
    pub(super) fn is_leaving(&self) -> bool {
        self.ordered.load(Ordering::Relaxed) > 0
    }

    /// Whether it has to end as it is. Who has sent no whole request yet waits for no answer.
    fn is_cut(&self) -> bool {
        let ordered = self.ordered.load(Ordering::Relaxed);
        ordered >= Order::Cut as u8 || (ordered > 0 && !self.served.load(Ordering::Relaxed))
    }

    /// What is due next, and when.
    fn next(&self, limits: &Connections) -> (Instant, Due) {
        let busy = self.is_busy();
        let (told, idle) = (self.told.get(), self.idle.get().unwrap_or_default());
        let mut next = if busy {
            (self.age() + LOOK, Due::Look)
        } else if let Some(told) = told {
            (told.max(idle) + ENDING, Due::Cut)
        } else if !self.served.load(Ordering::Relaxed) {
            (limits.header_timeout, Due::Cut)
        } else if let Some(head) = self.head.get().filter(|_| !self.http2.load(Ordering::Relaxed)) {
            (head + limits.header_timeout, Due::Cut)
        } else {
            (idle + limits.idle_timeout, Due::Tell)
        };
        for (since, patience) in [(self.stalled.get(), STALLED), (self.lingers.get(), ENDING)] {
            if let Some(since) = since
                && since + patience < next.0
            {
                next = (since + patience, Due::Cut);
            }
        }
        (self.born + next.0, next.1)
    }
}

/// Serves a connection to its end.
pub(super) async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: Arc<Connections>,
    pulse: Arc<Pulse>,
    stop: Arc<Stop>,
) {
    let io = TokioIo::new(Watched { inner: stream, pulse: Arc::clone(&pulse), drained: 0 });
    let service = service_fn({
        let pulse = Arc::clone(&pulse);
        move |request| {
            let (router, pulse, stop) = (router.clone(), Arc::clone(&pulse), Arc::clone(&stop));
            async move { Ok::<_, Infallible>(exchange(router, peer, &pulse, &stop, request).await) }
        }
    });
    let builder = builder(&limits);
    let mut served = pin!(builder.serve_connection(io, service));
    let mut alarm = pin!(sleep_until(pulse.next(&limits).0));
    let mut orders = pin!(pulse.orders.notified());
    let ended = poll_fn(|context| {
        while orders.as_mut().poll(context).is_ready() {
            orders.set(pulse.orders.notified());
        }
        if pulse.is_cut() {
            return Poll::Ready(Ok(()));
        }
        let mut tell = pulse.is_leaving();
        loop {
            if tell && pulse.told.get().is_none() {
                pulse.quiet.store(!pulse.is_busy() && pulse.head.get().is_none(), Ordering::Relaxed);
                pulse.told.set(pulse.age());
                served.as_mut().graceful_shutdown();
            }
            if let Poll::Ready(outcome) = served.as_mut().poll(context) {
                return Poll::Ready(outcome);
            }
            let (at, due) = pulse.next(&limits);
            // Only an earlier deadline moves the alarm: most requests come and go without touching it.
            if at < alarm.deadline() {
                alarm.as_mut().reset(at);
            }
            if alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() < at {
                alarm.as_mut().reset(at);
                continue;
            }
            match due {
                Due::Look => {}
                Due::Tell => tell = true,
                Due::Cut => return Poll::Ready(Ok(())),
            }
        }
    });
    if let Err(error) = ended.await {
        tracing::debug!(%peer, error, "a connection ended out of order");
    }
}

/// HTTP/2 keeps the defaults of the library against rapid resets: at most 20 requests that were reset before they were
/// looked at, 1024 streams that we reset ourselves (CVE-2023-44487, CVE-2025-8671), and a bound on CONTINUATION frames by
/// the size of headers; beyond them the connection ends.
fn builder(limits: &Connections) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    // The library's own limit on headers runs while a connection is idle too; the two are told apart here. It holds what
    // was read of a request in one buffer, whose size is the limit of headers.
    builder.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(limits.header_bytes);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(STREAM_BUFFER)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PONG_WITHIN);
    builder
}

/// A stream whose reads and writes are noted, and whose end is the one of RFC 9112 §9.6.
struct Watched<S> {
    inner: S,
    pulse: Arc<Pulse>,
    drained: u64,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(context, buffer))?;
        let pulse = &self.pulse;
        if buffer.filled().len() > before && !pulse.is_busy() && pulse.head.get().is_none() {
            pulse.head.set(pulse.age());
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + AsyncRead + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    /// Closes our side, then reads on until the peer has closed its own. A socket that is closed with bytes unread resets
    /// the connection, and a reset takes the answer away from who has not read it yet.
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.pulse.lingers.get().is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(context))?;
            if self.pulse.quiet.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
            self.pulse.lingers.set(self.pulse.age());
        }
        let mut scratch = [0; 8 << 10];
        while self.drained < LINGER_BYTES {
            let mut buffer = ReadBuf::new(&mut scratch);
            // However reading ends, the connection ends.
            if ready!(Pin::new(&mut self.inner).poll_read(context, &mut buffer)).is_err() || buffer.filled().is_empty()
            {
                break;
            }
            let length = buffer.filled().len();
            self.drained = self.drained.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        }
        Poll::Ready(Ok(()))
    }
}

impl<S> Watched<S> {
    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending if self.pulse.stalled.get().is_none() => self.pulse.stalled.set(self.pulse.age()),
            Poll::Pending => {}
            Poll::Ready(_) => self.pulse.stalled.clear(),
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::{Due, ENDING, LOOK, Pulse, STALLED};
    use crate::config::Connections;

    const HEADER: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(1000);

    /// What is due next, and how long after the connection's beginning.
    fn next(pulse: &Pulse) -> (u64, Due) {
        let limits =
            Connections { max: 1, max_per_network: 1, header_timeout: HEADER, idle_timeout: IDLE, header_bytes: 8192 };
        let (at, due) = pulse.next(&limits);
        (at.duration_since(pulse.born).as_secs(), due)
    }

    #[test]
    fn each_state_has_its_deadline() {
        let at = Duration::from_secs;
        let pulse = Arc::new(Pulse::new(false));
        assert_eq!(next(&pulse), (HEADER.as_secs(), Due::Cut));
        // Bytes that trickle in move nothing.
        pulse.head.set(at(5));
        assert_eq!(next(&pulse), (HEADER.as_secs(), Due::Cut));
        let [first, second] = [pulse.begins(false), pulse.begins(false)];
        drop(first);
        assert_eq!(next(&pulse), (LOOK.as_secs(), Due::Look));
        drop(second);
        pulse.idle.set(at(20));
        assert_eq!(next(&pulse), (20 + IDLE.as_secs(), Due::Tell));
        pulse.head.set(at(30));
        assert_eq!(next(&pulse), (30 + HEADER.as_secs(), Due::Cut));
        // In HTTP/2 what arrives between requests is not the beginning of one.
        drop(pulse.begins(true));
        pulse.idle.set(at(40));
        pulse.head.set(at(41));
        assert_eq!(next(&pulse), (40 + IDLE.as_secs(), Due::Tell));
        pulse.told.set(at(50));
        assert_eq!(next(&pulse), (50 + ENDING.as_secs(), Due::Cut));
    }

    /// A receiver that takes nothing, and a peer that doesn't close its side, are not waited for, whatever else goes on.
    #[test]
    fn who_takes_nothing_is_cut_off() {
        let pulse = Arc::new(Pulse::new(false));
        let _busy = pulse.begins(false);
        pulse.stalled.set(Duration::ZERO);
        assert!(STALLED <= LOOK);
        assert_eq!(next(&pulse), (STALLED.as_secs(), Due::Cut));
        pulse.stalled.clear();
        pulse.lingers.set(Duration::from_secs(3));
        assert_eq!(next(&pulse), (3 + ENDING.as_secs(), Due::Cut));
    }
}
