//! `checker BROKERS INPUT OUTPUT DEAD_LETTERS STATE_DIR [update|append]`: the checker for runs by hand. Watermark and windows are of a minute.

use std::path::Path;

use anyhow::bail;
use weir_tests::checker::{Mode, Places, Rules, check_places};

const MINUTE_US: i64 = 60_000_000;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let [brokers, input, output, dead_letters, state_dir, mode @ ..] = args.as_slice() else {
        bail!("expected BROKERS INPUT OUTPUT DEAD_LETTERS STATE_DIR [update|append]");
    };
    let mode = match mode {
        [] | ["update"] => Mode::Update,
        ["append"] => Mode::Append,
        other => bail!("expected `update` or `append`, not `{}`", other.join(" ")),
    };
    let places = Places { brokers, input, output, dead_letters, state_dir: Path::new(state_dir) };
    let report = check_places(&places, &Rules { delay_us: MINUTE_US, window_us: MINUTE_US, mode })?.into_result()?;
    print!("{report}");
    Ok(())
}
