//! The commands of the guide, run, and what they print beside what it says that they print.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

const GUIDE: &str = include_str!("../../../docs/find-a-request.md");

/// Between what two commands print.
const END: char = '\u{1e}';

/// A command of the guide and what it prints.
struct Step<'a> {
    command: &'a str,
    prints: &'a str,
}

/// Runs the guide from its first command to its last, in the directory of the logs, with what is in
/// `places` where it has examples.
pub(crate) async fn follow(logs: &Path, places: &[(&str, String)]) {
    let steps = steps();
    let mut script = "set -euo pipefail\n".to_owned();
    for step in &steps {
        script.push_str(step.command);
        script.push_str("\nprintf '\\x1e'\n");
    }
    for (example, here) in places {
        assert!(script.contains(example), "{example} is not in the guide");
        script = script.replace(example, here);
    }
    let printed = print(logs, &script).await;
    let printed: Vec<&str> = printed.split_terminator(END).collect();
    assert_eq!(printed.len(), steps.len(), "{printed:#?}");
    let pairs = steps.iter().zip(printed);
    let others = pairs.filter(|(step, printed)| shape(step.prints) != shape(printed));
    let others: Vec<String> = others
        .map(|(step, printed)| format!("$ {}\n{printed}", step.command))
        .collect();
    assert!(others.is_empty(), "otherwise here:\n{}", others.join("\n"));
}

/// Each block of `sh`, with the block of `text` after it.
fn steps() -> Vec<Step<'static>> {
    let blocks = GUIDE.split("\n```sh\n").skip(1);
    let steps = blocks.map(|rest| {
        let (command, rest) = rest.split_once("\n```\n").unwrap();
        let prints = rest.strip_prefix("\n```text\n");
        let prints = prints.unwrap_or_else(|| panic!("what does it print? {command}"));
        let (prints, _) = prints.split_once("\n```").unwrap();
        Step { command, prints }
    });
    steps.collect()
}

async fn print(logs: &Path, script: &str) -> String {
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(script).current_dir(logs);
    let bound = Duration::from_secs(30);
    let shell = tokio::time::timeout(bound, shell.kill_on_drop(true).output());
    let output = shell.await.unwrap().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{complaints}");
    printed
}

/// `text` with each word that has a digit as `#`, whatever it is: an ID, an instant, a duration.
fn shape(text: &str) -> String {
    let mut shape = String::new();
    let mut word = String::new();
    for character in text.trim_end().chars().chain(['\n']) {
        if character.is_alphanumeric() || ".:-".contains(character) {
            word.push(character);
            continue;
        }
        let varies = word.contains(|character: char| character.is_ascii_digit());
        shape += if varies { "#" } else { &word };
        word.clear();
        shape.push(character);
    }
    shape
}
