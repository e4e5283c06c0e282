//! Driving the binary.

use serde_json::Value;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Between two looks at something awaited.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Looks before giving up: two minutes.
const LOOKS: u32 = 12_000;

/// A file that `cargo build` makes: the binary, or a plugin's library.
///
/// # Panics
/// Where it has not been built.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test
        .ancestors()
        .nth(2)
        .expect("tests run from target/PROFILE/deps");
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not there: run `cargo build` first",
        path.display()
    );
    path
}

/// The plugin that is told what to do wrong.
#[must_use]
pub fn misbehaving() -> PathBuf {
    built("libmisbehaving.so")
}

/// The plugin of the task `voc_seg`.
#[must_use]
pub fn voc_seg() -> PathBuf {
    built("libvoc_seg.so")
}

/// The plugin of the task `coco_det`.
#[must_use]
pub fn coco_det() -> PathBuf {
    built("libcoco_det.so")
}

/// The binary with these arguments, in an environment that says nothing, except that Rust is asked
/// for backtraces: users have that in theirs too, and must not be shown any.
pub fn host<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(built("autoloss-host"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env("RUST_BACKTRACE", "1")
        // Whatever a developer has fetched, a test knows only the weights that it makes.
        .env("AUTOLOSS_WEIGHTS", "/nowhere");
    for variable in ["RUST_LOG", "AUTOLOSS_PLUGIN_PATH", "AUTOLOSS_TEST_FAULT"] {
        command.env_remove(variable);
    }
    command
}

/// A command of the binary with plugins.
#[must_use]
pub fn with_plugins(command: &[&str], plugins: &[&Path]) -> Command {
    let mut host = host(command);
    for plugin in plugins {
        host.arg("--plugin").arg(plugin);
    }
    host
}

/// What a finished process left behind.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("standard error is UTF-8"),
        }
    }
}

/// Runs a command to its end.
///
/// # Panics
/// Where it cannot be started or the host itself panics.
#[track_caller]
pub fn run(command: &mut Command) -> Ended {
    let ended = Ended::from(command.output().unwrap());
    ended.did_not_crash();
    ended
}

impl Ended {
    /// Neither a panic of the host nor a backtrace, be it Rust's or libtorch's.
    #[track_caller]
    pub fn did_not_crash(&self) {
        for sign in [
            "panicked at",
            "stack backtrace",
            "frame #",
            "Exception raised from",
            "aborting",
        ] {
            let crashed = self.stdout.contains(sign) || self.stderr.contains(sign);
            assert!(!crashed, "{sign:?} in the output of the host: {self:#?}");
        }
    }

    /// Exit code 0, and no error reported.
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{self:#?}");
        assert!(!self.stderr.contains("error:"), "{self:#?}");
        self
    }

    /// Exit code 1, nothing on standard output, and one `error:` line, which ends standard error
    /// and holds all of `parts`.
    #[track_caller]
    pub fn failed(&self, parts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(1), "{self:#?}");
        assert_eq!(self.stdout, "", "{self:#?}");
        let errors = self
            .stderr
            .lines()
            .filter(|line| line.starts_with("error: "))
            .count();
        assert_eq!(errors, 1, "{self:#?}");
        let last = self.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("error: "), "{self:#?}");
        for part in parts {
            assert!(last.contains(part), "{part:?} is not in {last:?}");
        }
        self
    }

    /// Exit code 2, with clap's own words on standard error.
    #[track_caller]
    pub fn misused(&self, part: &str) -> &Self {
        assert_eq!(self.code, Some(2), "{self:#?}");
        assert!(
            self.stdout.is_empty() && self.stderr.contains(part),
            "{self:#?}"
        );
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    #[must_use]
    pub fn json(&self) -> Value {
        self.succeeded();
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

/// Waits until something is so.
///
/// # Panics
/// Where it never is.
#[track_caller]
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if so() {
            return;
        }
        sleep(LOOK_EVERY);
    }
    panic!("waited in vain until {what}");
}

/// A host that was stopped in the middle of its work by a fault that hangs.
pub struct Hanging {
    child: Child,
    folder: tempfile::TempDir,
}

impl Hanging {
    /// Starts a command with this fault and waits until it hangs.
    ///
    /// # Panics
    /// Where it ends without hanging.
    #[track_caller]
    #[must_use]
    pub fn start(command: &mut Command, fault: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
        let marker = folder.path().join("marker");
        let mut child = command
            .env("AUTOLOSS_TEST_FAULT", fault)
            .env("AUTOLOSS_TEST_MARKER", &marker)
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .unwrap();
        let mut ended = None;
        wait_until("the host hangs", || {
            ended = child.try_wait().unwrap();
            ended.is_some() || marker.exists()
        });
        let hanging = Self { child, folder };
        assert!(ended.is_none(), "it ended: {}", hanging.said());
        hanging
    }

    /// Lets it go on.
    pub fn release(&self) {
        std::fs::write(self.folder.path().join("marker.released"), "").unwrap();
        std::fs::remove_file(self.folder.path().join("marker")).unwrap();
    }

    /// What it has written to standard error so far.
    #[must_use]
    pub fn said(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", name, &id])
                .status()
                .unwrap()
                .success()
        );
    }

    /// Interrupts it as Ctrl-C does, and waits until it has heard.
    ///
    /// # Panics
    /// Where it never does.
    #[track_caller]
    pub fn interrupt(&self) {
        self.signal("INT");
        wait_until("it has heard", || self.said().contains("Ctrl-C again"));
    }

    /// Waits for its end.
    #[must_use]
    pub fn end(mut self) -> Ended {
        let mut status = None;
        wait_until("the host ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let stdout = std::fs::read_to_string(self.folder.path().join("stdout")).unwrap();
        let ended = Ended {
            code: status.and_then(|status| status.code()),
            stdout,
            stderr: self.said(),
        };
        ended.did_not_crash();
        ended
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        // A failed test must not leave it behind; that it has ended already is the usual case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
