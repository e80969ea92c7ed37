//! Lines that are written by a thread of their own: who does not read them keeps nobody waiting.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use buttress_core::metric::{Collect, Family, Value};
use tracing_subscriber::fmt::MakeWriter;

/// So many bytes of lines may wait.
const ROOM: usize = 1024 * 1024;

/// Writes lines to something that may be slow, or stop: a pipe, say, whose reader hangs. Cheap to clone.
///
/// Whoever logs hands over a copy of the line and goes on. At most 1 MiB waits; what finds no room is lost
/// and counted, as `buttress_export_failures_total{exporter="log"}`. End with [`LineQueue::flush`]: what
/// waits when the process ends is lost.
///
/// ```
/// use std::time::Duration;
///
/// use buttress_telemetry::{Config, LineQueue};
///
/// let lines = LineQueue::new(std::io::stderr())?;
/// let config = Config::new("orders").writer(lines.clone());
/// # drop(config);
/// assert!(lines.flush(Duration::from_secs(1)));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct LineQueue {
    jobs: mpsc::Sender<Job>,
    counts: Arc<Counts>,
}

#[derive(Debug)]
enum Job {
    Line(Vec<u8>),
    Flush(mpsc::SyncSender<()>),
}

#[derive(Debug, Default)]
struct Counts {
    /// In bytes.
    waiting: AtomicUsize,
    /// In lines.
    lost: AtomicU64,
}

impl LineQueue {
    /// Writes to `to`, on a thread that ends with the last clone. Fails where there can be no thread.
    pub fn new(to: impl Write + Send + 'static) -> io::Result<Self> {
        let (jobs, received) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let of_thread = Arc::clone(&counts);
        thread::Builder::new()
            .name("buttress-lines".to_owned())
            .spawn(move || work(&received, &of_thread, to))?;
        Ok(Self { jobs, counts })
    }

    /// How many lines found no room.
    pub fn lost(&self) -> u64 {
        self.counts.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was logged is written; whether it was, within `timeout`. Blocks.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (tell, told) = mpsc::sync_channel(1);
        self.jobs.send(Job::Flush(tell)).is_ok() && told.recv_timeout(timeout).is_ok()
    }

    fn put(&self, line: &[u8]) {
        let waiting = &self.counts.waiting;
        let before = waiting.fetch_add(line.len(), Ordering::Relaxed);
        if before.saturating_add(line.len()) <= ROOM
            && self.jobs.send(Job::Line(line.to_vec())).is_ok()
        {
            return;
        }
        waiting.fetch_sub(line.len(), Ordering::Relaxed);
        self.counts.lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn work(jobs: &mpsc::Receiver<Job>, counts: &Counts, mut to: impl Write) {
    for job in jobs {
        // As with any line: what takes them may be gone.
        match job {
            Job::Line(line) => {
                let _gone = to.write_all(&line);
                counts.waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Job::Flush(tell) => {
                let _gone = to.flush();
                let _nobody_waits = tell.send(());
            }
        }
    }
}

impl Write for LineQueue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.put(line);
        Ok(line.len())
    }

    /// Waits for nothing.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LineQueue {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Collect for LineQueue {
    fn collect(&self, into: &mut Vec<Family>) {
        let labels = vec![("exporter", "log".into())];
        into.push(crate::handle::failures().with(labels, Value::Counter(self.lost())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// No condition awaited here takes a tenth of this.
    const PATIENCE: Duration = Duration::from_secs(30);

    /// Takes nothing until it is let.
    struct Held {
        let_go: mpsc::Receiver<()>,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Held {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            // An error says that it is let for good.
            let _for_good = self.let_go.recv();
            self.written.lock().unwrap().extend_from_slice(line);
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_hangs_keeps_nobody_waiting_and_what_finds_no_room_is_counted() {
        let (hold, let_go) = mpsc::channel();
        let written = Arc::default();
        let held = Held {
            let_go,
            written: Arc::clone(&written),
        };
        let mut queue = LineQueue::new(held).unwrap();
        let line = [b'x'; 1024];
        for _ in 0..3 * ROOM / line.len() {
            queue.write_all(&line).unwrap();
        }
        assert!(!queue.flush(Duration::ZERO));
        assert_eq!(queue.lost(), (2 * ROOM / line.len()) as u64);
        drop(hold);
        assert!(queue.flush(PATIENCE));
        assert_eq!(written.lock().unwrap().len(), ROOM);
        queue.write_all(b"again\n").unwrap();
        assert!(queue.flush(PATIENCE));
        assert!(written.lock().unwrap().ends_with(b"again\n"));
    }
}
