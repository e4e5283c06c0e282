//! What a worker leaves behind when it ends.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Lines of standard error that are remembered, and the bytes of each.
const LINES: usize = 20;
const BYTES: u64 = 500;

/// The end of a worker's standard error, gathered by a thread of its own.
#[derive(Debug)]
pub(super) struct Tail {
    lines: Arc<Mutex<VecDeque<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Tail {
    /// The tail of a stream. `show` is given every line as it comes.
    pub(super) fn of(
        stream: impl Read + Send + 'static,
        show: impl Fn(&str) + Send + 'static,
    ) -> Self {
        let lines: Arc<Mutex<VecDeque<String>>> = Arc::default();
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            loop {
                line.clear();
                let part = stream.by_ref().take(BYTES).read_until(b'\n', &mut line);
                if !part.is_ok_and(|read| read > 0) {
                    return;
                }
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end();
                if text.is_empty() {
                    continue;
                }
                show(text);
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.push_back(text.to_owned());
                if kept.len() > LINES {
                    kept.pop_front();
                }
            }
        });
        Self {
            lines,
            reader: Some(reader),
        }
    }

    /// Waits for the stream to close, which it has when its process is gone and no process of its own holds it, and
    /// returns the last lines.
    pub(super) fn finish(mut self, patience: std::time::Duration) -> Vec<String> {
        let end = std::time::Instant::now() + patience;
        if let Some(reader) = self.reader.take() {
            while !reader.is_finished() && std::time::Instant::now() < end {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.iter().cloned().collect()
    }
}

/// How a process ended, in words.
pub(super) fn end_of(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with code {code}"),
        (None, Some(signal)) => format!("it ended by {}", signal_name(signal)),
        (None, None) => "it ended".into(),
    }
}

fn signal_name(signal: i32) -> String {
    let name = match signal {
        4 => "SIGILL (an instruction that this processor lacks)",
        6 => "SIGABRT (it gave itself up)",
        7 => "SIGBUS (memory that is not there)",
        8 => "SIGFPE (an impossible division)",
        9 => "SIGKILL (killed, or out of memory)",
        11 => "SIGSEGV (memory that is not its own)",
        15 => "SIGTERM",
        other => return format!("signal {other}"),
    };
    name.to_owned()
}

/// Resident memory of a process in bytes: now, and the most that it ever had.
pub(super) fn resident(process: u32) -> Option<(u64, u64)> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        Some(kilobytes << 10)
    };
    Some((field("VmRSS:")?, field("VmHWM:")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    #[test]
    fn the_last_lines_and_the_signal_are_told() {
        let script = "for n in $(seq 1 30); do echo line $n >&2; done; kill -SEGV $$";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let tail = Tail::of(child.stderr.take().unwrap(), |_| ());
        let status = child.wait().unwrap();
        let lines = tail.finish(Duration::from_secs(5));
        assert_eq!((lines.len(), lines[19].as_str()), (20, "line 30"));
        assert!(end_of(status).contains("SIGSEGV"));
    }

    #[test]
    fn memory_is_that_of_the_process() {
        let process = std::process::id();
        let (now, most) = resident(process).unwrap();
        assert!(now > 1 << 20 && most >= now / 2);
        assert_eq!(resident(u32::MAX), None);
    }
}
