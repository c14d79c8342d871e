//! A record that does not fit is a dead letter with its reason; the rest goes on.

use crate::support::{Trial, run, stderr};

#[test]
fn what_does_not_fit_is_a_dead_letter_and_the_rest_goes_on() {
    let trial = Trial::new("bad");
    let huge = vec![b'x'; 900_000];
    let good = br#"{"user":"a","n":1,"at":"2025-12-16T02:04:08"}"#.as_slice();
    trial.send(&[
        Some(good),
        Some(b"{\"user\": \"a\", "),
        Some(br#"{"user":"a","n":"1","at":"2025-12-16T02:04:08"}"#),
        Some(br#"{"user":null,"n":1,"at":"2025-12-16T02:04:08"}"#),
        Some(&huge),
        Some(b""),
        None,
        Some(b"{\"user\":\"\xff\",\"n\":1,\"at\":\"2025-12-16T02:04:08\"}"),
        Some(br#"{"user":"a","n":1,"at":"2999-01-01T00:00:00"}"#),
        Some(good),
    ]);
    let output = run(&trial.pipeline("available-now", "state"));
    assert!(output.status.success(), "{}", stderr(&output));
    let rows = trial.read("out");
    assert_eq!(rows.last().unwrap()["rows"], 2, "{rows:?}");
    assert_eq!(rows.last().unwrap()["total"], 2);
    let letters = trial.read("dead");
    let codes: Vec<_> = letters.iter().map(|letter| (letter["source"]["offset"].as_i64().unwrap(), letter["code"].as_str().unwrap().to_owned())).collect();
    let expected = ["json-syntax", "wrong-type", "null-column", "json-syntax", "empty-value", "null-value", "not-utf8", "future-event-time"];
    let expected: Vec<_> = (1_i64..).zip(expected.map(str::to_owned)).collect();
    assert_eq!(codes, expected);
    assert!(letters[1]["reason"].as_str().unwrap().contains("column `n`"), "{}", letters[1]);
    let cut = &letters[3];
    assert_eq!((cut["value"].as_str().unwrap().len(), &cut["value_bytes"]), (512 << 10, &serde_json::json!(900_000)));
}
