//! What a sound document becomes.
use super::*;

#[test]
fn dump() {
    let text = std::fs::read_to_string("/work/wt/pipeline/plugins/ad-events/pipeline.toml").unwrap();
    let document = Document::new("pipeline.toml", text);
    let spec = match parse(&document, &|_| None) { Ok(s) => s, Err(e) => panic!("{e}") };
    println!("{spec:#?}");
    let checked = match check(spec) { Ok(s) => s, Err(e) => panic!("{e}") };
    for f in checked.findings() { println!("{}", f.render(&document)); }
}
