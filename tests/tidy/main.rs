//! Rules that neither the compiler nor clippy knows, looked up in the sources. A finding names the file, the line and the reason; each rule has a test that it finds
//! what it is for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod metrics;
mod names;
mod text;
mod tree;

use self::tree::{Finding, Tree};

/// Fails with one line for each finding.
#[track_caller]
fn none(findings: &[Finding]) {
    let lines: String = findings.iter().map(|finding| format!("\n  {finding}")).collect();
    assert!(findings.is_empty(), "{} findings{lines}", findings.len());
}

#[test]
fn a_module_names_only_the_crates_that_are_its_own() {
    none(&names::foreign_crates(&Tree::read()));
}

#[test]
fn a_module_names_no_module_that_it_must_not_know() {
    none(&names::foreign_modules(&Tree::read()));
}

#[test]
fn deciding_modules_do_no_io_read_no_clock_and_are_not_async() {
    none(&names::impure_decisions(&Tree::read()));
}

#[test]
fn a_folder_is_a_module_beside_its_file() {
    none(&text::mod_files(&Tree::read()));
}

#[test]
fn no_file_is_too_long_to_be_read_in_one_go() {
    none(&text::long_files(&Tree::read()));
}

#[test]
fn nothing_is_left_to_be_done_later() {
    none(&text::unfinished(&Tree::read()));
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    none(&text::machine_paths(&Tree::read()));
}

#[test]
fn every_exception_to_a_lint_has_a_reason() {
    none(&text::bare_exceptions(&Tree::read()));
}

#[test]
fn every_dependency_has_a_reason() {
    none(&text::bare_dependencies(&Tree::read()));
}

#[test]
fn links_in_documents_lead_somewhere() {
    none(&text::broken_links(&Tree::read()));
}

#[test]
fn dashboards_and_alerts_name_only_metrics_that_there_are() {
    none(&metrics::unknown_metrics(&Tree::read()));
}

#[test]
fn the_architecture_is_short_and_the_changelog_speaks_to_plugin_authors() {
    none(&text::documents(&Tree::read()));
}
