//! The command line: clap structs and one file a verb. A verb gathers what the modules need and calls them; it decides nothing that would be worth a test.

pub(crate) mod generate;
