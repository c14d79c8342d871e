//! `weir init`: writes a small pipeline with its plugin, to begin with.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use weir::starter;

use super::output::say;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The folder; it is made if it is not there. Nothing in it is overwritten.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

pub(super) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let shown = args.folder.display();
    if let Some(there) = starter::files().map(|file| file.path).find(|path| args.folder.join(path).exists()) {
        bail!("`{there}` is in `{shown}` already, and nothing is overwritten: name an empty folder, as in `weir init my-pipeline`");
    }
    for file in starter::files() {
        let path = args.folder.join(file.path);
        let write = || -> std::io::Result<()> {
            fs::create_dir_all(path.parent().unwrap_or(&args.folder))?;
            let mut created = File::create_new(&path)?;
            created.write_all(file.content)?;
            if file.executable {
                created.set_permissions(Permissions::from_mode(0o755))?;
            }
            Ok(())
        };
        write().with_context(|| format!("write `{}`", path.display()))?;
    }
    say(format_args!("`{shown}` has a pipeline, its plugin and a fixture; README.md says more. Next:\n"))?;
    if args.folder.as_os_str() != "." {
        say(format_args!("  cd {shown}"))?;
    }
    say("  weir test pipeline.toml fixtures/visits.jsonl\n  weir plan pipeline.toml\n  weir run pipeline.toml")?;
    Ok(ExitCode::SUCCESS)
}
