//! The page, served while the run goes on. It is fetched once and then asks every other second for the
//! parts that changed.
//!
//! [tiny_http](https://docs.rs/tiny_http) rather than axum: one reader on the same machine asks for a few
//! kilobytes now and then, for which an asynchronous runtime would be forty crates and a second way of
//! writing this program. Polling rather than server-sent events: the answer is the same, a closed laptop
//! needs no reconnection, and a hidden tab simply asks more seldom.
//!
//! Only this machine is served (127.0.0.1), and only under its own name: a request whose `Host` is
//! another's comes from a page elsewhere that had its name resolved to this machine, and is refused.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tiny_http::{Header, Method, Request, Response, Server};

use crate::assets;
use crate::content::{Content, Memory, Options};
use crate::error::ReportError;
use crate::page::{document, parts, state_class, state_text};

/// The run is read at most this often.
const REFRESH: Duration = Duration::from_secs(1);

/// The stop flag is looked at this often.
const PATIENCE: Duration = Duration::from_millis(200);

/// Serves a run's report on 127.0.0.1 until `stop` is raised. Port 0 stands for any that is free;
/// `started` is told the address once requests are answered.
///
/// # Errors
///
/// [`ReportError::Store`] where the folder holds no run, [`ReportError::PortInUse`],
/// [`ReportError::Listen`], [`ReportError::Serve`].
///
/// ```
/// use autoloss_report::{Options, ReportError, watch};
/// use std::sync::atomic::AtomicBool;
///
/// let nothing = tempfile::tempdir().unwrap();
/// let stop = AtomicBool::new(false);
/// let refused = watch::serve(nothing.path(), &Options::default(), 0, &stop, |address| {
///     println!("http://{address}/");
/// });
/// assert!(matches!(refused, Err(ReportError::Store(_))));
/// ```
pub fn serve(
    run: &Path,
    options: &Options,
    port: u16,
    stop: &AtomicBool,
    started: impl FnOnce(SocketAddr),
) -> Result<(), ReportError> {
    let mut desk = Desk::open(run, options)?;
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ReportError::PortInUse { port },
            _ => ReportError::Listen {
                port,
                detail: error.to_string(),
            },
        })?;
    let listen = |detail: String| ReportError::Listen { port, detail };
    let address = listener
        .local_addr()
        .map_err(|error| listen(error.to_string()))?;
    let server =
        Server::from_listener(listener, None).map_err(|error| listen(error.to_string()))?;
    started(address);
    while !stop.load(Ordering::Relaxed) {
        let request = server
            .recv_timeout(PATIENCE)
            .map_err(|source| ReportError::Serve { source })?;
        if let Some(request) = request {
            desk.answer(request);
        }
    }
    Ok(())
}

/// Reads the run and answers requests.
struct Desk<'a> {
    run: &'a Path,
    options: &'a Options,
    memory: Memory,
    content: Content,
    read: Instant,
}

/// Status, type and text of an answer.
type Answer = (u16, &'static str, String);

const PLAIN: &str = "text/plain; charset=utf-8";

impl<'a> Desk<'a> {
    fn open(run: &'a Path, options: &'a Options) -> Result<Self, ReportError> {
        let mut memory = Memory::default();
        Ok(Self {
            content: Content::read(run, options, &mut memory)?,
            run,
            options,
            memory,
            read: Instant::now(),
        })
    }

    fn answer(&mut self, request: Request) {
        let (status, kind, text) = self.answer_to(&request);
        let mut response = Response::from_string(text).with_status_code(status);
        for (name, value) in [
            ("Content-Type", kind),
            ("Cache-Control", "no-store"),
            (
                "Content-Security-Policy",
                &format!("{}; frame-ancestors 'none'", assets::policy(true)),
            ),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        ] {
            if let Ok(header) = Header::from_bytes(name, value) {
                response.add_header(header);
            }
        }
        // A reader that has gone away needs no answer.
        let _ = request.respond(response);
    }

    fn answer_to(&mut self, request: &Request) -> Answer {
        if !is_own_host(request) {
            return (
                421,
                PLAIN,
                "This server answers under its own address only.\n".to_owned(),
            );
        }
        if !matches!(request.method(), Method::Get | Method::Head) {
            return (405, PLAIN, "Only reading is possible here.\n".to_owned());
        }
        let url = request.url();
        let (path, query) = url.split_once('?').unwrap_or((url, ""));
        if !matches!(path, "/" | "/update") {
            return (404, PLAIN, "There is nothing here.\n".to_owned());
        }
        if let Err(error) = self.refresh() {
            return (503, PLAIN, format!("{error}\n"));
        }
        match path {
            "/" => (
                200,
                "text/html; charset=utf-8",
                document(&self.content, true),
            ),
            _ => (
                200,
                "application/json",
                update(&self.content, query).to_string(),
            ),
        }
    }

    fn refresh(&mut self) -> Result<(), ReportError> {
        if self.read.elapsed() >= REFRESH {
            self.content = Content::read(self.run, self.options, &mut self.memory)?;
            self.read = Instant::now();
        }
        Ok(())
    }
}

/// Whether a request was meant for this server.
fn is_own_host(request: &Request) -> bool {
    let mut hosts = request
        .headers()
        .iter()
        .filter(|header| header.field.equiv("Host"));
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let host = host.value.as_str().to_ascii_lowercase();
    // A tunnel has a port of its own.
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => &host,
    };
    ["127.0.0.1", "localhost"].contains(&name)
}

/// The parts that differ from those the page has, which it names as `have=ID:HASH,…`.
fn update(content: &Content, query: &str) -> Value {
    let have = query.strip_prefix("have=").unwrap_or("");
    let mut changed = Map::new();
    for part in parts(content) {
        let hash = part.hash();
        let known = have.split(',').filter_map(|pair| pair.split_once(':'));
        if known
            .into_iter()
            .any(|(id, known)| id == part.id && known == hash)
        {
            continue;
        }
        let charts: Map<String, Value> = part.charts.into_iter().collect();
        let new = json!({ "hash": hash, "html": part.html, "charts": charts });
        changed.insert(part.id.to_owned(), new);
    }
    let state = content.summary.state;
    json!({
        "status": state_text(state, true),
        "class": state_class(state),
        "parts": changed,
    })
}
