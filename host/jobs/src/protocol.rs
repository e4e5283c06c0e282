//! What a host and its workers say to each other: JSON, one message a line, on a worker's standard input and
//! output.
//!
//! A worker first says [`Hello`](FromWorker::Hello). The host then opens what jobs are about
//! ([`Open`](ToWorker::Open)), once for every run spec, and sends [`Run`](ToWorker::Run). A worker runs one job at
//! a time and answers pings all the while. It ends when its input does.

use std::io::{BufRead, Write};

use autoloss_search::{Evaluation, Fault, Job, Ticket};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Version of the messages. A host refuses a worker of another one.
pub const PROTOCOL: u32 = 1;

/// A message is no longer than this; a job has at most a few kilobytes.
const LONGEST: u64 = 16 << 20;

/// What a host says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ToWorker {
    /// Makes ready for jobs of a run spec.
    Open(Opening),
    /// Runs a job.
    Run {
        /// Names it.
        ticket: Ticket,
        /// What to train.
        job: Box<Job>,
    },
    /// Gives a job up.
    Cancel {
        /// Its name.
        ticket: Ticket,
    },
    /// Asks for a sign of life.
    Ping {
        /// Comes back.
        number: u64,
    },
}

/// What jobs of one run spec are about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opening {
    /// The [`Job::run_spec`] of its jobs.
    pub key: String,
    /// All that is needed to open it, as host and worker agree on; nothing here looks into it.
    pub spec: serde_json::Value,
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum FromWorker {
    /// It has begun.
    Hello(Hello),
    /// Jobs of this run spec can be run.
    Opened {
        /// The opening's key.
        key: String,
    },
    /// Jobs of this run spec cannot be run.
    Refused {
        /// The opening's key.
        key: String,
        /// Why.
        reason: String,
    },
    /// The answer to a ping.
    Pong {
        /// The ping's.
        number: u64,
    },
    /// How far a job is.
    Progress {
        /// The job's.
        ticket: Ticket,
        /// Steps made.
        done: usize,
        /// Steps in all.
        of: usize,
    },
    /// A job came to its end.
    Ended {
        /// The job's.
        ticket: Ticket,
        /// What came of it.
        evaluation: Evaluation,
    },
    /// A job did not come to its end.
    Faulted {
        /// The job's.
        ticket: Ticket,
        /// Why.
        fault: Fault,
    },
}

/// Who a worker is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its [`PROTOCOL`].
    pub protocol: u32,
    /// Its version.
    pub version: String,
}

/// A message that cannot be read.
#[derive(Debug, Error)]
pub enum MessageError {
    /// The line is no message.
    #[error("not a message of the worker protocol: {line} ({reason})")]
    Nonsense {
        /// Its beginning.
        line: String,
        /// Why not.
        reason: String,
    },
    /// The other end, or what lies between, broke.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// Writes a message.
///
/// # Errors
/// The other end is gone.
pub fn send(mut to: impl Write, message: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    to.write_all(&line)?;
    to.flush()
}

/// Reads a message; nothing where the other end has closed.
///
/// # Errors
/// [`MessageError::Nonsense`] for a line that cannot be read as a message, is cut off, or is longer than any message.
pub fn receive<T: DeserializeOwned>(mut from: impl BufRead) -> Result<Option<T>, MessageError> {
    let mut line = Vec::new();
    let read = std::io::Read::take(&mut from, LONGEST).read_until(b'\n', &mut line)?;
    if read == 0 {
        return Ok(None);
    }
    let nonsense = |reason: String| {
        let shown: String = String::from_utf8_lossy(&line).chars().take(80).collect();
        let line = format!("{shown:?}");
        MessageError::Nonsense { line, reason }
    };
    if line.last() != Some(&b'\n') {
        let reason = match read as u64 {
            LONGEST => "it is too long",
            _ => "it is cut off",
        };
        return Err(nonsense(reason.into()));
    }
    let message = serde_json::from_slice(&line);
    message
        .map(Some)
        .map_err(|error| nonsense(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<FromWorker>, String> {
        receive(text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn messages_are_lines_that_come_back() {
        let message = FromWorker::Faulted {
            ticket: Ticket(7),
            fault: Fault::Failed("out of\nmemory".into()),
        };
        let mut line = Vec::new();
        send(&mut line, &message).unwrap();
        assert_eq!(
            String::from_utf8(line.clone()).unwrap(),
            "{\"faulted\":{\"ticket\":7,\"fault\":{\"failed\":\"out of\\nmemory\"}}}\n"
        );
        assert_eq!(receive(line.as_slice()).unwrap(), Some(message));
    }

    #[test]
    fn what_is_no_message_is_shown() {
        assert_eq!(read("").unwrap(), None);
        for (text, part) in [
            (
                "[W] some library speaks\n",
                "not a message of the worker protocol: \"[W] some",
            ),
            ("{\"pong\":{\"number\":1}}", "cut off"),
            ("{\"pong\":{\"number\":1\n", "EOF"),
            ("{\"pong\":{\"number\":1,\"more\":2}}\n", "unknown field"),
            ("{\"sing\":{}}\n", "unknown variant"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_for_ever() {
        let endless = std::io::BufReader::new(std::io::repeat(b'x'));
        let error = receive::<FromWorker>(endless).unwrap_err().to_string();
        assert!(error.contains("too long") && error.len() < 300, "{error}");
    }
}
