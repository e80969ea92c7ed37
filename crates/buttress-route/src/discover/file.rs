//! A file that says who is there, looked at now and then.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use buttress_core::clock::Clock;
use tokio::task::JoinHandle;

use super::node::Node;
use super::source::{Source, SourceError};

/// The shortest pause between two looks.
const SHORTEST: Duration = Duration::from_secs(1);
/// A look that takes longer is refused, and is not followed by another until it has ended.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// A longer file is refused.
const LONGEST_FILE: u64 = 16 << 20;

type Parse = Arc<dyn Fn(&str) -> Result<Vec<Node>, SourceError> + Send + Sync>;

/// A file that says who is there, read anew every few seconds.
///
/// A file is believed whole or not at all: one that cannot be read within 10 s, is no regular file, is longer than 16 MiB
/// or has a line that makes no sense is refused and told once, and the endpoints stay as they were. Replace it by
/// renaming another over it, so that nobody reads half of it. What counts is what is in it: a time stamp
/// says nothing of a mount that was exchanged.
#[derive(Clone)]
pub struct WatchedFile {
    path: PathBuf,
    every: Duration,
    parse: Parse,
    seen: Option<Shown>,
    look: Look,
}

impl WatchedFile {
    /// The file at `path`, in the form of [`lines`].
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            every: Duration::from_secs(2),
            parse: Arc::new(lines),
            seen: None,
            look: Look::default(),
        }
    }

    /// With this pause between two looks. Default 2 s; no less than 1 s.
    #[must_use]
    pub const fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// In a form of its own. A panic of `parse` refuses the file.
    #[must_use]
    pub fn parse_with<F>(mut self, parse: F) -> Self
    where
        F: Fn(&str) -> Result<Vec<Node>, SourceError> + Send + Sync + 'static,
    {
        self.parse = Arc::new(parse);
        self
    }

    /// What the file says now, for whoever has to know before it serves. Refused as by the source. Blocks the thread, for
    /// 10 s at most, and needs no runtime.
    pub fn look(&self) -> Result<Vec<Node>, SourceError> {
        let path = self.path.clone();
        self.taken(&in_time(LONGEST_LOOK, move || read(&path)))
    }

    /// What a look at the file has shown; `None` if that is what the last one did.
    fn see(&mut self, shown: Shown) -> Option<Result<Vec<Node>, SourceError>> {
        if self.seen.as_ref() == Some(&shown) {
            return None;
        }
        let taken = self.taken(&shown);
        self.seen = Some(shown);
        Some(taken)
    }

    fn taken(&self, shown: &Shown) -> Result<Vec<Node>, SourceError> {
        let nodes = match shown {
            Ok(bytes) => parsed(bytes, &self.parse),
            Err(problem) => Err(problem.clone()),
        };
        nodes.map_err(|problem| SourceError::new(format!("{}: {problem}", self.path.display())))
    }
}

fn parsed(bytes: &[u8], parse: &Parse) -> Result<Vec<Node>, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("it is no UTF-8: {error}"))?;
    match catch_unwind(AssertUnwindSafe(|| parse(text))) {
        Ok(parsed) => parsed.map_err(|error| error.to_string()),
        Err(_) => Err("reading its form panicked".to_owned()),
    }
}

impl Source for WatchedFile {
    fn name(&self) -> &'static str {
        "file"
    }

    async fn next(&mut self, clock: &Clock) -> Result<Vec<Node>, SourceError> {
        loop {
            if self.seen.is_some() {
                clock.sleep(self.every.max(SHORTEST)).await;
            }
            let shown = self.look.at(&self.path, clock).await;
            if let Some(news) = self.see(shown) {
                return news;
            }
        }
    }
}

/// A look that may be under way, where it may block. A clone has none.
#[derive(Debug, Default)]
struct Look(Option<JoinHandle<Shown>>);

type Shown = Result<Vec<u8>, String>;

impl Clone for Look {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Look {
    /// What the file shows; where it does not do so in time, the next call goes on waiting for the same.
    async fn at(&mut self, path: &Path, clock: &Clock) -> Shown {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return read(path);
        };
        let path = path.to_owned();
        let look = self
            .0
            .get_or_insert_with(|| runtime.spawn_blocking(move || read(&path)));
        let mut late = pin!(clock.sleep(LONGEST_LOOK));
        let shown = poll_fn(|cx| match Pin::new(&mut *look).poll(cx) {
            Poll::Ready(shown) => Poll::Ready(Some(shown)),
            Poll::Pending => late.as_mut().poll(cx).map(|()| None),
        });
        let Some(shown) = shown.await else {
            return Err(too_late());
        };
        self.0 = None;
        shown.unwrap_or_else(|error| Err(error.to_string()))
    }
}

fn too_late() -> String {
    let seconds = LONGEST_LOOK.as_secs();
    format!("it was not read within {seconds} s")
}

/// What `look` shows within `limit`, on a thread of its own: one that hangs is left to itself.
fn in_time(limit: Duration, look: impl FnOnce() -> Shown + Send + 'static) -> Shown {
    let (tell, told) = mpsc::sync_channel(1);
    let look = move || drop(tell.send(look()));
    let thread = thread::Builder::new().name("endpoints-file".to_owned());
    let begun = thread.spawn(look);
    begun.map_err(|error| format!("it cannot be read: {error}"))?;
    told.recv_timeout(limit).unwrap_or_else(|_| Err(too_late()))
}

fn read(path: &Path) -> Shown {
    let problem = |error: std::io::Error| format!("it cannot be read: {error}");
    // Whoever opens a pipe waits for its other end.
    if !std::fs::metadata(path).map_err(problem)?.is_file() {
        return Err("it is no regular file; name one".to_owned());
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(problem)?;
    let mut some = file.take(LONGEST_FILE + 1);
    some.read_to_end(&mut bytes).map_err(problem)?;
    if bytes.len() as u64 > LONGEST_FILE {
        return Err(format!("it is longer than {LONGEST_FILE} bytes"));
    }
    Ok(bytes)
}

/// One endpoint a line: its identity, and perhaps `weight=` and a number from 0 up, where 0 drains it. What follows a `#`
/// and empty lines say nothing. An identity that comes twice is refused.
///
/// ```
/// let nodes = buttress_route::discover::lines("10.0.0.1:80\n10.0.0.2:80 weight=3 # the large one\n")?;
/// assert_eq!(nodes.len(), 2);
/// assert_eq!(&**nodes[1].id(), "10.0.0.2:80");
/// # Ok::<(), buttress_route::discover::SourceError>(())
/// ```
pub fn lines(text: &str) -> Result<Vec<Node>, SourceError> {
    let mut nodes = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for (index, line) in text.lines().enumerate() {
        let refuse = |problem: String| SourceError::new(format!("line {}: {problem}", index + 1));
        let said = line.split_once('#').map_or(line, |(said, _)| said);
        let Some(node) = node(said).map_err(refuse)? else {
            continue;
        };
        if !ids.insert(Arc::clone(node.id())) {
            let problem = format!("`{}` came before; remove one", node.id());
            return Err(refuse(problem));
        }
        nodes.push(node);
    }
    Ok(nodes)
}

fn node(line: &str) -> Result<Option<Node>, String> {
    let mut words = line.split_whitespace();
    let Some(id) = words.next() else {
        return Ok(None);
    };
    if id.contains('=') || id.chars().any(char::is_control) {
        return Err(format!(
            "`{id}` is no identity; write it first, such as 10.0.0.1:80"
        ));
    }
    let mut node = Node::new(id);
    for word in words {
        let weight = word.strip_prefix("weight=");
        let weight = weight.ok_or_else(|| format!("`{word}` is unknown; write weight=2"))?;
        let weight = weight
            .parse::<u32>()
            .map_err(|_| format!("`{weight}` is no weight; write a number from 0 up"))?;
        node = node.weight(weight);
    }
    Ok(Some(node))
}

impl fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedFile")
            .field("path", &self.path)
            .field("every", &self.every)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use buttress_core::clock::ManualClock;

    use super::*;

    #[test]
    fn a_line_that_makes_no_sense_refuses_the_whole_and_is_named() {
        for (text, problem) in [
            ("a\nb wieght=2\n", "line 2: `wieght=2` is unknown"),
            ("a weight=x", "line 1: `x` is no weight"),
            ("a weight=-1", "line 1: `-1` is no weight"),
            ("a\n\n# b\na", "line 4: `a` came before"),
            ("weight=2", "line 1: `weight=2` is no identity"),
        ] {
            let error = lines(text).unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
    }

    #[test]
    fn what_was_seen_before_is_no_news_good_or_bad() {
        let mut file = WatchedFile::new("f");
        assert_eq!(file.see(Ok(b"a".to_vec())).unwrap().unwrap().len(), 1);
        assert!(file.see(Ok(b"a".to_vec())).is_none());
        assert!(file.see(Err("it is gone".into())).unwrap().is_err());
        assert!(file.see(Err("it is gone".into())).is_none());
        assert!(file.see(Ok(b"a".to_vec())).unwrap().is_ok());
        assert!(file.see(Ok(vec![0xff])).unwrap().is_err());
    }

    #[test]
    fn a_parser_that_panics_refuses_the_file() {
        let mut file = WatchedFile::new("f").parse_with(|_| panic!("in the parser"));
        let error = file.see(Ok(b"a".to_vec())).unwrap().unwrap_err();
        assert!(error.to_string().contains("panicked"), "{error}");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_unopened() {
        for path in [std::env::temp_dir(), "/dev/zero".into()] {
            let Some(problem) = path.exists().then(|| read(&path).unwrap_err()) else {
                continue;
            };
            assert!(problem.contains("no regular file"), "{problem}");
        }
    }

    #[test]
    fn a_look_outside_of_a_runtime_has_an_end() {
        let (end, held) = mpsc::channel::<()>();
        let hangs = move || {
            let _ = held.recv();
            Ok(b"late".to_vec())
        };
        let problem = in_time(Duration::ZERO, hangs).unwrap_err();
        assert!(problem.contains("within 10 s"), "{problem}");
        drop(end);
        let path = std::env::temp_dir().join(format!("buttress-look-{}", std::process::id()));
        std::fs::write(&path, "a:1\nb:2 weight=3").unwrap();
        let file = WatchedFile::new(&path);
        assert_eq!(file.look().unwrap().len(), 2);
        std::fs::remove_file(&path).unwrap();
        let gone = file.look().unwrap_err().to_string();
        assert!(gone.contains("cannot be read"), "{gone}");
    }

    #[tokio::test]
    async fn a_look_that_hangs_is_refused_in_time_and_not_begun_again_until_it_ends() {
        let time = ManualClock::new();
        let (end, held) = mpsc::channel::<()>();
        let hangs = move || {
            let _ = held.recv();
            Ok(b"late".to_vec())
        };
        let mut look = Look(Some(tokio::task::spawn_blocking(hangs)));
        let (path, clock) = (PathBuf::from("/nowhere/at/all"), time.clock());
        for _ in 0..2 {
            let mut at = tokio_test::task::spawn(look.at(&path, &clock));
            assert!(at.poll().is_pending());
            time.advance(LONGEST_LOOK);
            let polled = at.poll();
            let Poll::Ready(Err(problem)) = polled else {
                panic!("it is still waited for: {polled:?}");
            };
            assert!(problem.contains("within 10 s"), "{problem}");
        }
        end.send(()).unwrap();
        assert_eq!(look.at(&path, &clock).await, Ok(b"late".to_vec()));
        assert!(look.at(&path, &clock).await.is_err(), "a look of its own");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = lines(&text);
        }
    }
}
