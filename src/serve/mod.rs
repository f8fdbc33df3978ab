//! Serving: connections, the work in the background, and the end of both.
//!
//! `accept` takes connections and bounds their number, `connection` bounds the time of one, `exchange` leaves it clean
//! after each request. What is served is the route table's matter.

mod accept;
mod background;
mod connection;
mod exchange;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::app::App;
use crate::server::router;
use accept::{Acceptor, Seats};
use background::Background;
use connection::Order;

// After the signal and `shutdown.delay` a stop takes less than ten seconds, whatever clients do: these and the limits of
// `background` together.

/// How long event streams may come to their end by themselves.
const STREAMS: Duration = Duration::from_secs(2);
/// How long requests under way may take, event streams among them.
const DRAIN: Duration = Duration::from_secs(5);
/// How long connections may take to end that are cut off.
const CUT: Duration = Duration::from_millis(500);
/// How long the database may take to let go.
const CLOSE: Duration = Duration::from_secs(1);

/// A connection to SQLite has the database, its log and its index open.
const FILES_PER_DATABASE_CONNECTION: u32 = 3;

/// How far the end has come. Each step is taken once, in this order.
#[derive(Debug)]
struct Stop {
    /// The server is about to stop: `/readyz` says no, and answers announce that the connection closes.
    stopping: Arc<AtomicBool>,
    /// No connection is accepted any more.
    closing: CancellationToken,
    /// Event streams end.
    streams: CancellationToken,
}

impl Stop {
    fn new(stopping: Arc<AtomicBool>) -> Self {
        Self { stopping, closing: CancellationToken::new(), streams: CancellationToken::new() }
    }
}

/// Serves on `listener` until `shutdown` resolves and `shutdown.delay` has passed; then requests under way are finished,
/// for a while.
pub async fn serve(listener: TcpListener, app: App, shutdown: impl Future<Output = ()> + Send + 'static) {
    let stop = Arc::new(Stop::new(Arc::clone(&app.stopping)));
    let seats = Arc::new(Seats::new(
        app.config.connections.clone(),
        app.contexts.proxies.clone(),
        FILES_PER_DATABASE_CONNECTION.saturating_mul(app.config.database.max_connections),
    ));
    let tasks = TaskTracker::new();
    let acceptor =
        Acceptor { router: router(&app), seats: Arc::clone(&seats), stop: Arc::clone(&stop), tasks: tasks.clone() };
    let background = Background::start(&app);
    let signal = async {
        shutdown.await;
        stop.stopping.store(true, Ordering::Relaxed);
        let delay = app.config.shutdown.delay;
        if !delay.is_zero() {
            tracing::info!(
                seconds = delay.as_secs(),
                "not ready any more; requests are served until shutdown.delay is over"
            );
            sleep(delay).await;
        }
        stop.closing.cancel();
    };
    // The listener is closed before connections are waited for.
    tokio::join!(signal, acceptor.run(listener));
    end_connections(&stop, &seats, &tasks).await;
    background.stop().await;
    if timeout(CLOSE, app.store().close()).await.is_err() {
        tracing::warn!("the database did not let go in time");
    }
}

/// Ends all connections: those at once that wait, the others with the request that is under way, and the rest as they are.
async fn end_connections(stop: &Stop, seats: &Seats, tasks: &TaskTracker) {
    tasks.close();
    seats.order(Order::Leave);
    let streams = async {
        sleep(STREAMS).await;
        stop.streams.cancel();
        std::future::pending::<()>().await;
    };
    let ended = timeout(DRAIN, async {
        tokio::select! {
            () = tasks.wait() => {}
            () = streams => {}
        }
    });
    if ended.await.is_err() {
        tracing::warn!(connections = tasks.len(), "some requests did not end in time and were cut off");
    }
    seats.order(Order::Cut);
    let _ = timeout(CUT, tasks.wait()).await;
}

#[cfg(test)]
mod tests;
