//! A link between the server and its database which the test holds in its hand: it forwards, holds everything back
//! without closing anything, drops new connections unanswered, is cut, or leads elsewhere.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// How many connections may wait to be accepted. Beyond it the kernel drops what comes, as a network does that is gone.
const BACKLOG: u32 = 4;
/// A connection that isn't answered within this is not answered at all.
const UNANSWERED: Duration = Duration::from_millis(300);

/// What becomes of the bytes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flow {
    Passes,
    /// Each answer is late by this.
    Slow(Duration),
    Held,
}

/// The link.
pub struct Link {
    pub address: SocketAddr,
    target: Arc<Mutex<String>>,
    /// The flow of the connections that are open, and of those to come.
    flow: watch::Sender<Flow>,
    task: Option<JoinHandle<TcpListener>>,
    stop: watch::Sender<bool>,
    /// The connections.
    open: Arc<Mutex<JoinSet<()>>>,
    /// What keeps a generation of connections held for ever.
    left: Vec<watch::Sender<Flow>>,
    fillers: Vec<TcpStream>,
}

impl Link {
    /// A link to this address.
    pub fn to(target: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(BACKLOG).unwrap();
        let mut link = Self {
            address: listener.local_addr().unwrap(),
            target: Arc::new(Mutex::new(target.to_owned())),
            flow: watch::Sender::new(Flow::Passes),
            task: None,
            stop: watch::Sender::new(false),
            open: Arc::default(),
            left: Vec::new(),
            fillers: Vec::new(),
        };
        link.accept(listener);
        link
    }

    /// A link to the PostgreSQL server of this URL.
    pub fn to_database(url: &str) -> Self {
        let url = url::Url::parse(url).unwrap();
        Self::to(&format!("{}:{}", url.host_str().unwrap(), url.port().unwrap_or(5432)))
    }

    /// The URL of a database behind this link.
    pub fn url(&self, direct: &str) -> String {
        let mut url = url::Url::parse(direct).unwrap();
        url.set_host(Some("127.0.0.1")).unwrap();
        url.set_port(Some(self.address.port())).unwrap();
        url.into()
    }

    fn accept(&mut self, listener: TcpListener) {
        self.stop = watch::Sender::new(false);
        let (mut stopped, flow) = (self.stop.subscribe(), self.flow.subscribe());
        let (target, open) = (Arc::clone(&self.target), Arc::clone(&self.open));
        self.task = Some(tokio::spawn(async move {
            loop {
                let near = tokio::select! {
                    _ = stopped.wait_for(|stopped| *stopped) => return listener,
                    accepted = listener.accept() => accepted.unwrap().0,
                };
                open.lock().unwrap().spawn(carry(near, Arc::clone(&target), flow.clone()));
            }
        }));
    }

    async fn stop_accepting(&mut self) -> TcpListener {
        let _ = self.stop.send(true);
        self.task.take().unwrap().await.unwrap()
    }

    /// Holds back all bytes; new connections are made and hear nothing.
    pub fn freeze(&self) {
        self.flow.send_replace(Flow::Held);
    }

    /// Lets each answer wait for so long.
    pub fn slow_down(&self, by: Duration) {
        self.flow.send_replace(Flow::Slow(by));
    }

    /// Everything goes on as if nothing had been.
    pub fn thaw(&self) {
        self.flow.send_replace(Flow::Passes);
    }

    /// New connections pass; those from before stay as they are, for ever.
    pub async fn leave_behind(&mut self) {
        let listener = self.stop_accepting().await;
        self.left.push(std::mem::replace(&mut self.flow, watch::Sender::new(Flow::Passes)));
        self.accept(listener);
    }

    /// Holds back all bytes and leaves new connections unanswered. The returned listener is for [`answer`](Self::answer).
    pub async fn vanish(&mut self) -> TcpListener {
        self.freeze();
        let listener = self.stop_accepting().await;
        // The queue of the kernel is filled until it answers nobody any more.
        while let Ok(Ok(filler)) = tokio::time::timeout(UNANSWERED, TcpStream::connect(self.address)).await {
            self.fillers.push(filler);
            assert!(self.fillers.len() < 100, "the kernel answers everybody");
        }
        listener
    }

    /// The end of [`vanish`](Self::vanish): what was held back arrives, and new connections are answered.
    pub fn answer(&mut self, listener: TcpListener) {
        self.fillers.clear();
        self.thaw();
        self.accept(listener);
    }

    /// Where new connections lead from now on.
    pub fn lead_to(&self, target: &str) {
        target.clone_into(&mut self.target.lock().unwrap());
    }

    /// Ends all connections; new ones are refused.
    pub async fn cut(&mut self) {
        drop(self.stop_accepting().await);
        let mut open = std::mem::take(&mut *self.open.lock().unwrap());
        open.shutdown().await;
    }

    /// The end of [`cut`](Self::cut).
    pub fn mend(&mut self) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(self.address).unwrap();
        self.accept(socket.listen(BACKLOG).unwrap());
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Carries one connection.
async fn carry(near: TcpStream, target: Arc<Mutex<String>>, mut flow: watch::Receiver<Flow>) {
    passes(&mut flow).await;
    let target = target.lock().unwrap().clone();
    let Ok(far) = TcpStream::connect(target).await else { return };
    let (near_reads, near_writes) = near.into_split();
    let (far_reads, far_writes) = far.into_split();
    tokio::join!(pump(near_reads, far_writes, flow.clone(), false), pump(far_reads, near_writes, flow, true));
}

/// Waits until bytes may pass; for ever when nobody holds the other end any more.
async fn passes(flow: &mut watch::Receiver<Flow>) {
    if flow.wait_for(|flow| *flow != Flow::Held).await.is_err() && *flow.borrow() == Flow::Held {
        std::future::pending::<()>().await;
    }
}

async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut flow: watch::Receiver<Flow>, answers: bool) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        passes(&mut flow).await;
        let read = from.read(&mut buffer).await;
        // What came while it was held waits here.
        passes(&mut flow).await;
        let slow = *flow.borrow();
        if let (true, Flow::Slow(by)) = (answers, slow) {
            tokio::time::sleep(by).await;
        }
        match read {
            Ok(0) | Err(_) => return drop(to.shutdown().await),
            Ok(length) => {
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
