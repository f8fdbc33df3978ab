//! What the server writes to its log while a test listens.
//!
//! One subscriber serves the whole program, because `tracing` remembers for each place in the code whether anybody listens:
//! with a subscriber for one thread only, another test that comes by there first makes it remember that nobody does.

use std::cell::RefCell;
use std::io::Write;
use std::sync::Once;

thread_local! {
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// Listens to the thread of the test until it is asked for what it heard. A test's server runs in the test's own thread.
pub struct Listener;

/// Begins to listen.
pub fn listen() -> Listener {
    static SUBSCRIBE: Once = Once::new();
    SUBSCRIBE.call_once(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| Ear).init());
    let before = HEARD.replace(Some(Vec::new()));
    assert!(before.is_none(), "this thread listens already");
    Listener
}

impl Listener {
    /// What was written since it began, as text.
    #[expect(clippy::unused_self, reason = "only who listens can ask, and only once")]
    pub fn heard(self) -> String {
        let heard = HEARD.with_borrow_mut(|heard| heard.as_mut().map(std::mem::take));
        String::from_utf8(heard.unwrap_or_default()).unwrap()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        HEARD.set(None);
    }
}

struct Ear;

impl Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        HEARD.with_borrow_mut(|heard| heard.iter_mut().for_each(|heard| heard.extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
