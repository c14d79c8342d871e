//! `weir ps`, `weir status`, `weir stop`: the pipelines that run, asked through the control API of their processes.

use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};
use weir::control::client::Process;
use weir::epoch::clock::rest;

use super::output::say;

/// Whom to ask.
#[derive(Debug, Args)]
struct Whom {
    /// Ask the process at this address, `http://HOST:PORT`, and not those of this user.
    #[arg(long, env = "WEIR_URL")]
    url: Option<String>,
    /// The token that it wants.
    #[arg(long, env = "WEIR_TOKEN", hide_env_values = true)]
    token: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PsArgs {
    #[command(flatten)]
    whom: Whom,
    /// As JSON, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The pipeline; all of them if none is named.
    #[arg(value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    whom: Whom,
    /// Again each second, until Ctrl-C.
    #[arg(long, conflicts_with = "json")]
    watch: bool,
    /// As JSON, for programs: the last progress record of each pipeline, by name.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The pipeline.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    whom: Whom,
}

/// How often it is looked whether a pipeline has stopped.
const LOOK: Duration = Duration::from_millis(100);
/// How long a pipeline may take to finish its epoch.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often `--watch` draws.
const WATCH: Duration = Duration::from_secs(1);

/// A pipeline, as its process tells of it.
struct Found {
    process: Process,
    pid: u64,
    about: Value,
    last: Option<Value>,
}

pub(super) fn ps(args: &PsArgs) -> anyhow::Result<ExitCode> {
    let found = args.whom.find()?;
    if args.json {
        let all = found.iter().map(|found| json!({ "pid": found.pid, "pipeline": found.about }));
        say(serde_json::to_string_pretty(&all.collect::<Vec<_>>())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["NAME", "STATE", "EPOCH", "RECORDS/S", "LAG", "WATERMARK", "PID", "FILE"].map(str::to_owned)];
    rows.extend(found.iter().map(|found| {
        let last = found.last.as_ref();
        [
            found.text("name"),
            found.text("state"),
            found.about.get("epoch").and_then(Value::as_u64).map_or_else(|| "-".to_owned(), |epoch| epoch.to_string()),
            rate(last),
            lag(last),
            watermark(last),
            found.pid.to_string(),
            found.text("file"),
        ]
    }));
    say(table(&rows))?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let mut drawn = 0;
    loop {
        let found = args.whom.find()?;
        let named: Vec<&Found> = found.iter().filter(|found| args.name.as_ref().is_none_or(|name| found.text("name") == *name)).collect();
        if let Some(name) = args.name.as_ref().filter(|_| named.is_empty()) {
            return Err(unknown(name, &found));
        }
        if args.json {
            let all = named.iter().map(|found| (found.text("name"), found.last.clone().unwrap_or_default()));
            say(serde_json::to_string_pretty(&all.collect::<serde_json::Map<_, _>>())?)?;
            return Ok(ExitCode::SUCCESS);
        }
        let text = if named.is_empty() { "no pipeline runs\n".to_owned() } else { named.iter().map(|found| describe(found)).collect::<Vec<_>>().join("\n") };
        if args.watch && std::io::stdout().is_terminal() && drawn > 0 {
            weir::sink::console::print(format!("\x1b[{drawn}A\x1b[J").as_bytes())?;
        }
        weir::sink::console::print(text.as_bytes())?;
        drawn = text.lines().count();
        if !args.watch {
            return Ok(ExitCode::SUCCESS);
        }
        rest(WATCH);
    }
}

pub(super) fn stop(args: &StopArgs) -> anyhow::Result<ExitCode> {
    let found = args.whom.find()?;
    let named: Vec<&Found> = found.iter().filter(|found| found.text("name") == args.name && found.runs()).collect();
    let pipeline = match named.as_slice() {
        [one] => *one,
        [] => return Err(unknown(&args.name, &found)),
        several => {
            let processes: Vec<String> = several.iter().map(|found| found.pid.to_string()).collect();
            bail!("pipeline `{}` runs in the processes {}: end one of them with SIGTERM, or ask one with `--url`", args.name, processes.join(", "))
        }
    };
    pipeline.process.post(&format!("/pipelines/{}/stop", args.name))?;
    let mut stopped = false;
    for _ in 0..PATIENCE.as_millis() / LOOK.as_millis() {
        rest(LOOK);
        // A process whose last pipeline has stopped answers no more.
        let Ok(now) = pipeline.process.get("/pipelines") else {
            stopped = true;
            break;
        };
        let Some(now) = each(&now).find(|about| about.get("name").and_then(Value::as_str) == Some(&args.name)) else { break };
        match now.get("state").and_then(Value::as_str) {
            Some("starting" | "running") => {}
            Some("failed") => bail!("pipeline `{}` has failed: {}", args.name, now.get("error").and_then(Value::as_str).unwrap_or_default()),
            _ => {
                stopped = true;
                break;
            }
        }
    }
    if !stopped {
        bail!("pipeline `{}` still finishes its epoch after {} s; it stops when that is done", args.name, PATIENCE.as_secs());
    }
    say(format_args!("{} has stopped", args.name))?;
    Ok(ExitCode::SUCCESS)
}

impl Whom {
    fn find(&self) -> anyhow::Result<Vec<Found>> {
        let processes = match &self.url {
            Some(url) => vec![Process::at(url, self.token.clone())?],
            None => Process::all()?,
        };
        let mut all = Vec::new();
        for process in processes {
            let (pipelines, progress) = match process.get("/pipelines").and_then(|pipelines| Ok((pipelines, process.get("/progress")?))) {
                Ok(answers) => answers,
                // One of ours may be ending; one that was named must answer.
                Err(error) if self.url.is_some() => return Err(error),
                Err(_) => continue,
            };
            let pid = pipelines.get("pid").and_then(Value::as_u64).unwrap_or_default();
            all.extend(each(&pipelines).map(|about| {
                let name = about.get("name").and_then(Value::as_str).unwrap_or_default();
                let last = progress.get(name).and_then(Value::as_array).and_then(|records| records.last()).cloned();
                Found { process: process.clone(), pid, about: about.clone(), last }
            }));
        }
        Ok(all)
    }
}

impl Found {
    fn runs(&self) -> bool {
        matches!(self.text("state").as_str(), "starting" | "running")
    }

    fn text(&self, key: &str) -> String {
        self.about.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

fn each(pipelines: &Value) -> impl Iterator<Item = &Value> {
    pipelines.get("pipelines").and_then(Value::as_array).into_iter().flatten()
}

fn unknown(name: &str, found: &[Found]) -> anyhow::Error {
    let names: Vec<String> = found.iter().map(|found| format!("`{}`", found.text("name"))).collect();
    match names.as_slice() {
        [] => anyhow::anyhow!("no pipeline `{name}` runs, and no other one: a process of another user, or of another machine, is reached with `--url`"),
        names => anyhow::anyhow!("no pipeline `{name}` runs: there is {}", names.join(", ")),
    }
}

fn number(last: Option<&Value>, pointer: &str) -> Option<f64> {
    last?.pointer(pointer)?.as_f64()
}

fn rate(last: Option<&Value>) -> String {
    number(last, "/inputRowsPerSecond").map_or_else(|| "-".to_owned(), |rate| format!("{rate:.0}"))
}

fn watermark(last: Option<&Value>) -> String {
    last.and_then(|last| last.pointer("/weir/watermarkAfter")?.as_str()).unwrap_or("-").to_owned()
}

fn lag(last: Option<&Value>) -> String {
    let sources = last.and_then(|last| last.get("sources")?.as_array());
    let sum = |source: &Value, which: &str| -> i64 {
        let topics = source.get(which).and_then(Value::as_object).into_iter().flatten();
        topics.filter_map(|(_, partitions)| partitions.as_object()).flatten().filter_map(|(_, offset)| offset.as_i64()).sum()
    };
    sources
        .map_or_else(|| "-".to_owned(), |sources| sources.iter().map(|source| sum(source, "latestOffset") - sum(source, "endOffset")).sum::<i64>().to_string())
}

/// A pipeline on some lines.
fn describe(found: &Found) -> String {
    let last = found.last.as_ref();
    let mut text = format!("{}: {}, process {}, {}\n", found.text("name"), found.text("state"), found.pid, found.text("file"));
    if let Some(error) = found.about.get("error").and_then(Value::as_str) {
        writeln!(text, "  {error}").ok();
    }
    let Some(record) = last else { return text + "  no epoch yet\n" };
    let whole = |pointer: &str| number(last, pointer).unwrap_or_default();
    let rejected: u64 = record.pointer("/weir/rejected").and_then(Value::as_object).into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    let lines = [
        format!(
            "epoch {} took {} ms: {} records in, {} rows out, late {}, rejected {rejected}",
            whole("/batchId"),
            whole("/batchDuration"),
            whole("/numInputRows"),
            whole("/sink/numOutputRows"),
            whole("/weir/lateRows")
        ),
        format!("{} records/s, lag {}, watermark {}", rate(last), lag(last), watermark(last)),
        format!("bound by: {}", record.pointer("/weir/boundBy").and_then(Value::as_str).unwrap_or("nothing")),
    ];
    text.extend(lines.iter().map(|line| format!("  {line}\n")));
    let mut rows = vec![["STEP", "IN", "OUT", "CPU MS", "PLUGIN MS", "CALLS"].map(str::to_owned)];
    for step in record.pointer("/weir/steps").and_then(Value::as_array).into_iter().flatten() {
        let of = |key: &str| step.get(key).and_then(Value::as_u64).unwrap_or_default();
        let ms = |key: &str| format!("{:.1}", of(key) as f64 / 1e3);
        let id = step.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        rows.push([id, of("numInputRows").to_string(), of("numOutputRows").to_string(), ms("busyUs"), ms("inPluginUs"), of("pluginCalls").to_string()]);
    }
    if rows.len() > 1 {
        text.extend(table(&rows).lines().map(|line| format!("  {line}\n")));
    }
    let stages = record.pointer("/weir/stageUs").and_then(Value::as_object).into_iter().flatten();
    let stages: Vec<String> = stages.map(|(stage, us)| format!("{stage} {:.1}", us.as_f64().unwrap_or_default() / 1e3)).collect();
    writeln!(text, "  ms by stage: {}", stages.join(", ")).ok();
    text
}

/// Columns side by side, each as wide as its widest cell.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or_default();
    let line = |row: &[String; N]| {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}
