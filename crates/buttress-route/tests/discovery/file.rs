//! Endpoints that a file names.

use std::path::PathBuf;
use std::time::Duration;

use buttress_route::discover::{DiscoveryChange, WatchedFile};

use super::Discovered;

/// A file of its own for a test, gone with it.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("buttress-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn write(&self, text: &str) {
        std::fs::write(&self.0, text).unwrap();
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_file_that_changes_changes_the_pool_and_a_bad_one_is_told_once() {
    let file = File::new("changes", "a\nb weight=3\n");
    let source = WatchedFile::new(&file.0).every(Duration::from_secs(5));
    let mut pool = Discovered::from(source);
    assert_eq!(pool.ids(), ["a", "b"]);
    assert_eq!(pool.world.handle().snapshot().endpoints[1].weight, 3);
    pool.told();

    file.write("b weight=3\nc\n");
    pool.pass(7);
    assert_eq!(pool.ids(), ["b", "c"]);
    let (joined, left, endpoints) = (1, 1, 2);
    let updated = DiscoveryChange::Updated {
        joined,
        left,
        endpoints,
    };
    assert_eq!(pool.told(), [updated]);

    file.write("b\nc weight=none\nd\n");
    pool.pass(60);
    assert_eq!(pool.ids(), ["b", "c"], "a bad file changes nothing");
    let told = pool.told();
    let [DiscoveryChange::Refused(problem)] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(problem.to_string().contains("line 2: `none`"), "{problem}");

    for nobody in ["", "# none of them\n"] {
        file.write(nobody);
        pool.pass(6);
        assert_eq!(pool.ids(), ["b", "c"], "an empty file changes nothing");
    }
    std::fs::remove_file(&file.0).unwrap();
    pool.pass(6);
    assert_eq!(pool.ids(), ["b", "c"], "no file changes nothing");
    assert_eq!(pool.discovery.snapshot().refused, 4);
    assert!(pool.discovery.snapshot().problem.is_some());

    file.write("b\nc\nd\n");
    pool.pass(6);
    assert_eq!(pool.ids(), ["b", "c", "d"]);
    assert_eq!(pool.discovery.snapshot().problem, None);
    assert!(pool.told().contains(&DiscoveryChange::Recovered));
}

#[test]
fn a_weight_that_is_no_longer_said_counts_no_longer() {
    let file = File::new("drained", "a weight=0\nb\n");
    let mut pool = Discovered::from(WatchedFile::new(&file.0));
    let weight = |pool: &Discovered| pool.world.handle().snapshot().endpoints[0].weight;
    assert_eq!(weight(&pool), 0);
    file.write("a\nb\n");
    pool.pass(3);
    assert_eq!((pool.made().len(), weight(&pool)), (2, 1));
    let answered = pool.world.load(2, Duration::from_secs(1));
    assert!(answered.ok.contains_key("a"));
}
