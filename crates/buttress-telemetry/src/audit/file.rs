//! A file of whole lines that is rotated by size.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Config;

/// The file that is written to, and those before it.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    max_bytes: u64,
    keep: u32,
    sync: bool,
    /// `None` until it is opened again, after something went wrong.
    current: Option<Current>,
}

#[derive(Debug)]
struct Current {
    file: fs::File,
    /// How long it is, in whole lines.
    length: u64,
}

impl File {
    pub(super) fn open(config: &Config) -> io::Result<Self> {
        Ok(Self {
            path: config.path.clone(),
            max_bytes: config.max_bytes,
            keep: config.keep,
            sync: config.sync,
            current: Some(Current::open(&config.path)?),
        })
    }

    /// Adds `line`, whole or not at all.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let written = self.try_write(line);
        if written.is_err() {
            self.current = None;
        }
        written
    }

    fn try_write(&mut self, line: &[u8]) -> io::Result<()> {
        let mut current = match self.current.take() {
            Some(current) => current,
            None => Current::open(&self.path)?,
        };
        let length = line.len() as u64;
        if current.length > 0 && current.length.saturating_add(length) > self.max_bytes {
            drop(current);
            self.rotate()?;
            current = Current::open(&self.path)?;
        }
        current.append(line, self.sync)?;
        self.current = Some(current);
        Ok(())
    }

    /// Gives each file the name of the one before it; the last goes.
    fn rotate(&self) -> io::Result<()> {
        if self.keep == 0 {
            return fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            absent_is_fine(fs::rename(self.numbered(number), self.numbered(number + 1)))?;
        }
        fs::rename(&self.path, self.numbered(1))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn absent_is_fine(renamed: io::Result<()>) -> io::Result<()> {
    match renamed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

impl Current {
    /// Opens the file at `path`, or makes it, for its owner alone. A line that was cut short by the end
    /// of the process before is ended.
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true).read(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let length = file.metadata()?.len();
        let mut current = Self { file, length };
        if length > 0 && !current.ends_whole(length)? {
            current.append(b"\n", false)?;
        }
        Ok(current)
    }

    fn ends_whole(&mut self, length: u64) -> io::Result<bool> {
        let mut last = [0];
        self.file.seek(SeekFrom::Start(length - 1))?;
        self.file.read_exact(&mut last)?;
        Ok(last == *b"\n")
    }

    fn append(&mut self, line: &[u8], sync: bool) -> io::Result<()> {
        let written = self.file.write_all(line).and_then(|()| {
            if sync {
                return self.file.sync_data();
            }
            Ok(())
        });
        match written {
            Ok(()) => self.length += line.len() as u64,
            // Half a line would spoil the next one. If this fails too, it is ended when it is opened.
            Err(_) => drop(self.file.set_len(self.length)),
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that goes with the test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let name = format!("buttress-audit-{}-{name}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, max_bytes: u64, keep: u32) -> File {
            let mut config = Config::new(self.0.join("audit"));
            (config.max_bytes, config.keep) = (max_bytes, keep);
            File::open(&config).unwrap()
        }

        fn read(&self) -> Vec<(String, String)> {
            let entries = fs::read_dir(&self.0).unwrap().map(Result::unwrap);
            let mut read: Vec<_> = entries
                .map(|entry| {
                    let name = entry.file_name().into_string().unwrap();
                    (name, fs::read_to_string(entry.path()).unwrap())
                })
                .collect();
            read.sort();
            read
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn files(expected: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = expected.iter();
        owned
            .map(|&(name, text)| (name.to_owned(), text.to_owned()))
            .collect()
    }

    #[test]
    fn files_are_rotated_by_size_and_kept_by_number_and_no_line_is_split() {
        let directory = Directory::new("rotated");
        let mut file = directory.file(6, 2);
        for line in ["1a\n", "1b\n", "2a\n", "longer than a file\n", "4a\n"] {
            file.write(line.as_bytes()).unwrap();
        }
        let expected = [
            ("audit", "4a\n"),
            ("audit.1", "longer than a file\n"),
            ("audit.2", "2a\n"),
        ];
        assert_eq!(directory.read(), files(&expected));
    }

    #[test]
    fn with_none_to_be_kept_the_file_begins_anew() {
        let directory = Directory::new("none-kept");
        let mut file = directory.file(3, 0);
        file.write(b"1\n").unwrap();
        file.write(b"2\n").unwrap();
        assert_eq!(directory.read(), files(&[("audit", "2\n")]));
    }

    #[test]
    fn what_was_there_stays_and_a_line_cut_short_is_ended() {
        let directory = Directory::new("cut-short");
        fs::write(directory.0.join("audit"), "whole\ncut sh").unwrap();
        let mut file = directory.file(100, 1);
        file.write(b"next\n").unwrap();
        assert_eq!(
            directory.read(),
            files(&[("audit", "whole\ncut sh\nnext\n")])
        );
    }

    #[test]
    fn a_file_that_fails_is_opened_again() {
        let directory = Directory::new("again");
        let mut file = directory.file(4, 1);
        file.write(b"one\n").unwrap();
        // What stands in the way of the rotation is a directory that is not empty.
        let in_the_way = directory.0.join("audit.1");
        fs::create_dir_all(in_the_way.join("x")).unwrap();
        assert!(file.write(b"two\n").is_err());
        fs::remove_dir_all(&in_the_way).unwrap();
        file.write(b"three\n").unwrap();
        let expected = [("audit", "three\n"), ("audit.1", "one\n")];
        assert_eq!(directory.read(), files(&expected));
    }

    #[cfg(unix)]
    #[test]
    fn the_file_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = Directory::new("owner");
        directory.file(1, 1);
        let mode = fs::metadata(directory.0.join("audit"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
