//! `weir run`: runs pipelines until they are done or told to stop. One that fails does not stop the others.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use weir::control;
use weir::epoch::clock::{Stop, SystemClock};
use weir::epoch::driver::{Ended, Until};
use weir::epoch::recovery::Start;
use weir::launch::outline::Outline;
use weir::launch::{self, OpenedPlan, Ports, Surroundings};
use weir::observe::board::{About, Board, Publisher, State};
use weir::pipeline::{self, Checked};
use weir::plugin::Engine;

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The pipelines: documents, or folders of them.
    #[arg(value_name = "FILE", required = true)]
    pipelines: Vec<PathBuf>,
    /// Begin a new life although rows have been delivered before: for a state folder that was lost. Everything from the starting offsets on is delivered again.
    #[arg(long)]
    new: bool,
}

/// A pipeline that is about to run.
pub(super) struct Job {
    name: String,
    plan: OpenedPlan,
    state_dir: PathBuf,
    weight: u32,
    /// Asks it to stop.
    pub(super) stop: Stop,
    publisher: Publisher,
    start: Start,
}

impl Job {
    /// Opens a pipeline's plugins, and puts it on the board.
    pub(super) fn open(file: &Path, checked: &Checked, engine: &Engine, board: &Arc<Board>, start: Start) -> anyhow::Result<Self> {
        let (plan, spec, stop) = (launch::open(checked, engine)?, checked.spec(), Stop::default());
        let (name, weight) = (spec.name.value.clone(), spec.weight);
        let outline = serde_json::to_value(Outline::new(&plan, spec))?;
        let publisher = board.add(About { name: name.clone(), file: file.display().to_string(), weight, outline }, stop.clone());
        Ok(Self { name, plan, state_dir: spec.state_dir(), weight, stop, publisher, start })
    }
}

pub(super) fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let files = documents(&args.pipelines)?;
    let checked = files.iter().map(|file| launch::read(file)).collect::<anyhow::Result<Vec<_>>>()?;
    for finding in checked.iter().flat_map(|checked| checked.findings().iter().map(|finding| finding.render(&checked.spec().document))) {
        super::output::complain(finding);
    }
    pipeline::check_names(checked.iter().map(Checked::spec))?;
    check_folders(&files, &checked)?;
    let listen = listen(&files, &checked)?;
    let engine = super::engine()?;
    let board = Arc::new(Board::default());
    let start = if args.new { Start::New } else { Start::Ordinary };
    let jobs = files.iter().zip(&checked).map(|(file, checked)| Job::open(file, checked, &engine, &board, start)).collect::<anyhow::Result<Vec<_>>>()?;
    stop_on_signals(jobs.iter().map(|job| job.stop.clone()).collect())?;
    let _socket = control::serve(&board, listen)?;
    match jobs.len() {
        1 => jobs.into_iter().try_for_each(drive).map(|()| ExitCode::SUCCESS),
        _ => side_by_side(jobs),
    }
}

/// Runs each pipeline on a thread and a pool of its own; the pools share the cores by weight.
fn side_by_side(jobs: Vec<Job>) -> anyhow::Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let all: usize = jobs.iter().map(|job| job.weight as usize).sum();
    let mut running = Vec::new();
    for job in jobs {
        // One thread more than its share, because one of them is the driver, which mostly waits.
        let threads = (cores * job.weight as usize).div_ceil(all.max(1)) + 1;
        let name = job.name.clone();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).thread_name(move |number| format!("{name}-{number}")).build();
        let pool = pool.with_context(|| format!("pipeline `{}`: start its threads", job.name))?;
        let name = job.name.clone();
        let publisher = job.publisher.clone();
        let work = move || pool.install(|| drive(job));
        running.push((name.clone(), publisher, std::thread::Builder::new().name(name).spawn(work).context("start a pipeline's thread")?));
    }
    let mut failed = 0;
    for (name, publisher, thread) in running {
        let ended = thread.join().unwrap_or_else(|_| {
            publisher.state(State::Failed, Some("it panicked: this is a defect".to_owned()));
            Err(anyhow::anyhow!("pipeline `{name}` panicked: this is a defect"))
        });
        failed += usize::from(ended.is_err());
    }
    Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Runs a pipeline, and tells how it went.
pub(super) fn drive(job: Job) -> anyhow::Result<()> {
    let Job { name, plan, state_dir, stop, publisher, start, .. } = job;
    let surroundings = Surroundings {
        clock: Box::new(SystemClock::new(stop)),
        start,
        ports: Ports::default(),
        state_dir: state_dir.clone(),
        trigger: None,
        tap: None,
        publisher: Some(publisher.clone()),
    };
    let ended = launch::launch(plan, surroundings).and_then(|mut driver| {
        publisher.state(State::Running, None);
        tracing::info!(pipeline = %name, state_dir = %state_dir.display(), "running");
        driver.run(Until::Done)
    });
    match ended {
        Ok(Ended::Finished) => {
            publisher.state(State::Finished, None);
            tracing::info!(pipeline = %name, "finished: there is nothing more to do");
            Ok(())
        }
        Ok(Ended::Stopped | Ended::Idle | Ended::Restored(_)) => {
            publisher.state(State::Stopped, None);
            tracing::info!(pipeline = %name, "stopped");
            Ok(())
        }
        Err(error) => {
            publisher.state(State::Failed, Some(format!("{error:#}")));
            tracing::error!(pipeline = %name, error = format!("{error:#}"), "failed");
            Err(error)
        }
    }
}

/// The documents that are named, and those in the folders that are, in the order of their names.
fn documents(named: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in named {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).with_context(|| format!("read the folder `{}`", path.display()))?;
        let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| is_document(path)).collect();
        ensure!(!found.is_empty(), "the folder `{}` has no pipeline: expected files that end with `.toml`", path.display());
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// Whether a file of a folder is a pipeline: `Cargo.toml` beside a plugin is none.
fn is_document(path: &Path) -> bool {
    path.is_file() && path.extension().is_some_and(|extension| extension == "toml") && path.file_name().is_some_and(|name| name != "Cargo.toml")
}

fn check_folders(files: &[PathBuf], checked: &[Checked]) -> anyhow::Result<()> {
    for (number, (file, one)) in files.iter().zip(checked).enumerate() {
        let earlier = files.iter().zip(checked).take(number);
        if let Some((other, _)) = earlier.into_iter().find(|(_, other)| other.spec().state_dir() == one.spec().state_dir()) {
            bail!("`{}` and `{}` have the same state folder: each pipeline needs its own; change one `state_dir`", other.display(), file.display());
        }
    }
    Ok(())
}

/// Where the process is to listen: as the documents say, which must agree.
fn listen(files: &[PathBuf], checked: &[Checked]) -> anyhow::Result<Option<(String, Option<String>)>> {
    let mut chosen: Option<(&PathBuf, (String, Option<String>))> = None;
    for (file, checked) in files.iter().zip(checked) {
        let Some(control) = &checked.spec().control else { continue };
        let wanted = (control.listen.value.clone(), control.token.as_ref().map(|token| token.expose().to_owned()));
        match &chosen {
            Some((first, other)) if *other != wanted => {
                bail!("`{}` and `{}` have another `control`: a process listens at one address; take it out of one of them", first.display(), file.display())
            }
            Some(_) => {}
            None => chosen = Some((file, wanted)),
        }
    }
    Ok(chosen.map(|(_, wanted)| wanted))
}

/// SIGINT and SIGTERM ask the pipelines to finish their epochs and stop; a second one ends the process at once.
fn stop_on_signals(stops: Vec<Stop>) -> anyhow::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("take SIGINT and SIGTERM")?;
    let listen = move || {
        for (count, signal) in signals.forever().enumerate() {
            if count > 0 {
                // IMPORTANT: no destructor, no flush: the next start finds what a kill leaves, and knows what to do with it.
                std::process::exit(128 + signal);
            }
            tracing::info!("finishing the epoch; once more ends the process at once");
            stops.iter().for_each(Stop::ask);
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).context("start the thread that hears signals")?;
    Ok(())
}
