//! The served page.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use autoloss_report::{Options, ReportError, watch};
use autoloss_run::Store;
use autoloss_search::Search;

use crate::outside::program;
use crate::runs::Recipe;
use crate::support;

/// Serves a run while the work is done, then ends the server and checks that it ends well.
fn served(run: &Path, work: impl FnOnce(SocketAddr)) {
    let stop = &AtomicBool::new(false);
    let options = &Options::default();
    std::thread::scope(|scope| {
        let (told, address) = mpsc::channel();
        let server =
            scope.spawn(move || watch::serve(run, options, 0, stop, |at| told.send(at).unwrap()));
        let address = address.recv().expect("the server has started");
        assert!(address.ip().is_loopback());
        // A failed assertion must not leave the server running.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(address)));
        stop.store(true, Ordering::Relaxed);
        server.join().unwrap().unwrap();
        if let Err(panic) = done {
            std::panic::resume_unwind(panic);
        }
    });
}

#[test]
fn a_served_page_follows_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let recipe = Recipe {
        finished: false,
        ..Recipe::plain(1, 400)
    };
    let mut search = Some(recipe.begin(&run));
    recipe.go_on(search.as_mut().unwrap());
    served(&run, |address| {
        let mut command = program("report_browser.py");
        command.arg("live").arg(format!("http://{address}/"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut browser = command.spawn().unwrap();
        let mut answers = browser.stdin.take().unwrap();
        let mut said = String::new();
        for line in BufReader::new(browser.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            match line.as_str() {
                "grow" => search = Some(grown(search.take().unwrap(), &run, 900)),
                "end" => drop(search.take()),
                other => {
                    said.push_str(other);
                    said.push('\n');
                    continue;
                }
            }
            writeln!(answers, "done").unwrap();
        }
        assert!(browser.wait().unwrap().success(), "{said}");
    });
}

/// The same search, gone on with to so many candidates, and still holding its run.
fn grown(search: Search<Store>, run: &Path, explored: u64) -> Search<Store> {
    drop(search);
    let store = Store::open(run).unwrap();
    let header = store.reader().header().unwrap();
    let mut config = header.config;
    config.budget.max_explored = Some(explored);
    let mut search = Search::resume(&header.task, Some(config), store).unwrap();
    let summary = support::finish(&mut search);
    assert_eq!(summary.counts.explored(), explored);
    search
}

#[test]
fn what_cannot_be_served_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |run: &Path, port| {
        watch::serve(
            run,
            &Options::default(),
            port,
            &AtomicBool::new(true),
            |_| (),
        )
    };
    assert!(matches!(
        serve(folder.path(), 0),
        Err(ReportError::Store(_))
    ));
    let run = folder.path().join("run");
    drop(Recipe::plain(1, 1).begin(&run));
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = serve(&run, port).unwrap_err();
    assert!(matches!(error, ReportError::PortInUse { .. }));
    assert!(
        error
            .to_string()
            .starts_with(&format!("port {port} of 127.0.0.1 is in use"))
    );
    serve(&run, 0).unwrap();
}
