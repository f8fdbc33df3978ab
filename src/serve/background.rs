//! The work beside requests: the jobs, and the writer of the record of attempts. They go on while requests end.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::app::{App, jobs};
use crate::attempts::writer;

/// How long work under way may take to end after the signal to stop.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long what was recorded last may take to be written.
const LAST_WORDS: Duration = Duration::from_millis(1500);

/// The tasks that run beside requests.
pub(super) struct Background {
    jobs: JoinSet<()>,
    stop: watch::Sender<bool>,
    /// It is told to stop last: the requests that end now are recorded too.
    writer: Option<JoinHandle<()>>,
    finish: watch::Sender<bool>,
}

impl Background {
    /// Starts them.
    pub(super) fn start(app: &App) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (finish, finished) = watch::channel(false);
        let writer = app
            .take_inbox()
            .map(|inbox| tokio::spawn(writer::run(app.store.clone(), app.contexts.recorder.clone(), inbox, finished)));
        Self { jobs: jobs::start(app, &stopped), stop, writer, finish }
    }

    /// Ends them in order, or as they are when they take too long: a database that doesn't answer holds nothing up.
    pub(super) async fn stop(mut self) {
        let _ = self.stop.send(true);
        if timeout(PATIENCE, async { while self.jobs.join_next().await.is_some() {} }).await.is_err() {
            tracing::warn!("background work did not end in time and was cut off");
            self.jobs.abort_all();
        }
        let _ = self.finish.send(true);
        if let Some(writer) = self.writer
            && timeout(LAST_WORDS, writer).await.is_err()
        {
            tracing::warn!("the last steps of attempts to connect could not be recorded in time");
        }
    }
}
