//! What is a plugin, and the sentences for what is none.

use std::fs;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::guest::{Act, Guest, embed, opened, passed, transformed};
use super::{CONTEXT, ENGINE, batch, limits};
use crate::plugin::cache::Cache;
use crate::plugin::{Digest, Engine, Form, Interface};

fn passing() -> Guest {
    Guest::transform(opened(&[], vec![passed("name", 1)]), transformed(vec![], None, vec![]))
}

fn refusal(bytes: &[u8]) -> String {
    ENGINE.load_bytes("x.wasm", bytes).unwrap_err().to_string()
}

#[test]
fn a_core_module_with_a_component_type_is_a_plugin() {
    let module = passing().build();
    let plugin = ENGINE.load_bytes("x.wasm", &module).unwrap();
    assert_eq!(plugin.form(), Form::Module);
    assert_eq!(*plugin.digest(), Digest::of(&module));
    let description = plugin.description();
    assert_eq!((description.name.as_str(), description.version.as_str(), &description.pipeline), ("hostile", "1.2.3", &None));
    let [function] = plugin.functions() else { panic!("one function") };
    assert_eq!((function.interface, function.name.as_str(), function.config_schema.as_str()), (Interface::Transform, "f", "{}"));
}

#[test]
fn a_component_is_a_plugin() {
    let module = passing().build();
    let component = wit_component::ComponentEncoder::default().validate(true).module(&module).unwrap().encode().unwrap();
    assert_eq!(ENGINE.load_bytes("x.wasm", &component).unwrap().form(), Form::Component);
}

#[test]
fn a_core_module_that_was_built_for_wasi_preview_1_asks_for_nothing_and_sees_nothing() {
    let imports = r#"
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open" (func $path_open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $sleep (param i32 i32 i32 i32) (result i32)))
        (func $expect (param i32) (if (i32.eqz (local.get 0)) (then unreachable)))"#;
    // Writes 5 bytes, reads the clock twice, asks for the environment, opens a file.
    let code = "(i32.store (i32.const 704) (i32.const 5))
        (call $expect (i32.eqz (call $write (i32.const 1) (i32.const 700) (i32.const 1) (i32.const 720))))
        (call $expect (i32.eq (i32.load (i32.const 720)) (i32.const 5)))
        (call $expect (i32.eqz (call $clock (i32.const 0) (i64.const 0) (i32.const 728))))
        (call $expect (i32.eqz (call $clock (i32.const 0) (i64.const 0) (i32.const 736))))
        (call $expect (i64.eq (i64.sub (i64.load (i32.const 736)) (i64.load (i32.const 728))) (i64.const 1000)))
        (call $expect (i32.eqz (call $random (i32.const 744) (i32.const 8))))
        (call $expect (i64.ne (i64.load (i32.const 744)) (i64.const 0)))
        (call $expect (i32.eqz (call $environ (i32.const 752) (i32.const 756))))
        (call $expect (i32.eqz (i32.load (i32.const 752))))
        (call $expect (i32.eqz (call $sleep (i32.const 760) (i32.const 820) (i32.const 1) (i32.const 756))))
        (call $expect (i32.eq (i32.const 8) (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 760))))
        (i32.store (i32.const 512) (i32.const 0)) (i32.store (i32.const 520) (i32.const 0)) (i32.store (i32.const 524) (i32.const 0))
        (i32.store (i32.const 540) (i32.const 0)) (i32.const 512)";
    let guest = Guest::transform(opened(&[], vec![passed("name", 1)]), Act::Code(code.to_owned())).with_extra(imports);
    let plugin = ENGINE.load_bytes("preview1.wasm", &guest.build()).unwrap();
    let transform = plugin.open_transform("f", &Value::Null, &batch().schema(), &limits()).unwrap();
    assert_eq!(transform.run(&CONTEXT, &batch()).unwrap().rows.num_rows(), 3);
}

#[test]
fn what_is_no_webassembly_is_refused() {
    let sentence = "`x.wasm` is not WebAssembly: expected a component, or a core module that carries a component type";
    assert_eq!(refusal(b"#!/bin/sh"), sentence);
    assert_eq!(refusal(b""), sentence);
    assert_eq!(refusal(b"\0asm\x02\0\0\0"), sentence);
    assert!(ENGINE.load("no/such/file".as_ref()).unwrap_err().to_string().starts_with("read plugin `no/such/file`: "));
}

#[test]
fn a_core_module_without_a_component_type_is_refused_with_what_to_do() {
    let module = wat::parse_str("(module)").unwrap();
    assert_eq!(
        refusal(&module),
        "`x.wasm` is a core module without a component type: build it with a plugin SDK, or embed the world with `wasm-tools component embed`"
    );
}

#[test]
fn a_core_module_that_does_not_do_what_its_world_says_is_refused() {
    let mut module = wat::parse_str("(module (memory (export \"memory\") 1))").unwrap();
    embed(&mut module, "transformer", "0.1.0");
    let text = refusal(&module);
    assert!(text.starts_with("`x.wasm` is a core module that can't be made a component: "), "{text}");
}

#[test]
fn damaged_webassembly_is_refused() {
    let mut module = passing().build();
    let half = module.len() / 2;
    module.truncate(half);
    refusal(&module);
    assert!(refusal(b"\0asm\x0d\0\x01\0 and then text").starts_with("compile `x.wasm`: "));
}

#[test]
fn a_component_that_exports_nothing_of_ours_is_refused() {
    let nothing = wat::parse_str("(component)").unwrap();
    assert_eq!(refusal(&nothing), "`x.wasm` is not a plugin: it exports nothing; expected `weir:plugin/plugin@0.1.0`");
    let other = wat::parse_str("(component (instance $i) (export \"demo:app/run@1.0.0\" (instance $i)))").unwrap();
    assert_eq!(refusal(&other), "`x.wasm` is not a plugin: it exports `demo:app/run@1.0.0`; expected `weir:plugin/plugin@0.1.0`");
    let half = wat::parse_str("(component (instance $i) (export \"weir:plugin/plugin@0.1.0\" (instance $i)))").unwrap();
    let text = refusal(&half);
    assert!(text.ends_with("expected `weir:plugin/transform@0.1.0` or `weir:plugin/aggregate@0.1.0`"), "{text}");
}

#[test]
fn an_interface_of_ours_without_its_functions_is_refused() {
    let empty = r#"(component (instance $i)
        (export "weir:plugin/plugin@0.1.0" (instance $i)) (export "weir:plugin/transform@0.1.0" (instance $i)))"#;
    let text = refusal(&wat::parse_str(empty).unwrap());
    assert_eq!(text, "`x.wasm` has another `weir:plugin/plugin@0.1.0` than the contract: there is no function `describe`");
}

#[test]
fn a_plugin_of_another_version_of_the_contract_is_refused() {
    let guest = passing().with_version("0.2.0");
    let text = refusal(&guest.build());
    assert!(text.starts_with("`x.wasm` speaks `weir:plugin/") && text.contains("@0.2.0`, this host `weir:plugin@0.1.0`"), "{text}");
    let later_patch = passing().with_version("0.1.7");
    ENGINE.load_bytes("x.wasm", &later_patch.build()).unwrap();
}

#[test]
fn a_component_that_imports_wasi_is_refused_by_the_name_of_what_it_imports() {
    let sentence = |name| format!("`x.wasm` imports `{name}`; a plugin may import `weir:plugin/log@0.1.0` and nothing else");
    for name in ["wasi:clocks/wall-clock@0.2.0", "weir:plugin/oracle@0.1.0"] {
        assert_eq!(refusal(&importing(name)), sentence(name));
    }
    let text = refusal(&importing("weir:plugin/log@0.1.0"));
    assert!(text.starts_with("`x.wasm` has another `weir:plugin/log@0.1.0` than the contract: "), "{text}");
}

/// A component that exports what a plugin exports, by name, and imports an instance with a function.
fn importing(name: &str) -> Vec<u8> {
    let text = format!(
        r#"(component (import "{name}" (instance (export "now" (func (result u64))))) (instance $i)
            (export "weir:plugin/plugin@0.1.0" (instance $i)) (export "weir:plugin/transform@0.1.0" (instance $i)))"#
    );
    wat::parse_str(text).unwrap()
}

#[test]
fn a_guest_that_traps_when_it_is_asked_what_it_is_is_refused() {
    let text = refusal(&passing().with("describe", Act::Code("unreachable".to_owned())).build());
    assert!(text.starts_with("load `x.wasm`: `describe` of plugin `x.wasm` (") && text.contains("trapped"), "{text}");
}

#[test]
fn compiled_code_is_kept_by_digest_and_damaged_code_is_compiled_again() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::new(Some(folder.path().join("cache"))).unwrap();
    let module = passing().build();
    engine.load_bytes("x.wasm", &module).unwrap();
    let [version] = fs::read_dir(folder.path().join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>().try_into().unwrap();
    let file = version.join(format!("{}.cwasm", Digest::of(&module)));
    let kept = fs::read(&file).unwrap();
    assert_eq!(fs::read_dir(&version).unwrap().count(), 1, "no unfinished file is left");

    let changed_at = |file: &std::path::Path| fs::metadata(file).unwrap().modified().unwrap();
    let before = changed_at(&file);
    engine.load_bytes("x.wasm", &module).unwrap();
    assert_eq!(changed_at(&file), before, "whole code is used as it is");

    let mut flipped = kept.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for damaged in [flipped, kept[..kept.len() / 2].to_vec(), Vec::new(), b"not machine code, but longer than a digest is".to_vec()] {
        fs::write(&file, &damaged).unwrap();
        engine.load_bytes("x.wasm", &module).unwrap();
        assert_ne!(fs::read(&file).unwrap(), damaged, "compiled again and kept");
    }
}

#[test]
fn code_that_another_engine_compiled_is_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let engine = wasmtime::Engine::new(&crate::plugin::engine::config::config()).unwrap();
    let cache = Cache::open(folder.path(), &engine).unwrap();
    let other = wasmtime::Engine::default();
    let component = wasmtime::component::Component::new(&other, wat::parse_str("(component)").unwrap()).unwrap();
    let digest = Digest::of(b"x");
    cache.store(&digest, &component);
    assert!(cache.file(&digest).exists() && cache.load(&engine, &digest).is_none());
}

#[test]
fn a_cache_folder_that_others_can_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let engine = wasmtime::Engine::new(&crate::plugin::engine::config::config()).unwrap();
    let cache = Cache::open(folder.path(), &engine).unwrap();
    let inner = cache.file(&Digest::of(b"x")).parent().unwrap().to_owned();
    assert_eq!(fs::metadata(&inner).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&inner, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(Cache::open(folder.path(), &engine).is_none());
}

/// Collects what is written to the log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_plugin_that_logs_each_row_gets_a_hundred_lines_a_second_and_the_rest_is_counted() {
    let text = r#"(import "weir:plugin/log@0.1.0" "write" (func $log (param i32 i32 i32)))"#;
    // Levels are numbered from trace: 2 is info, 0 is trace, which nobody listens to.
    let code = "(i32.store (i32.const 600) (i32.const 0x6f6c6568))
        (loop $l
          (call $log (i32.const 0) (i32.const 600) (i32.const 4))
          (call $log (i32.const 2) (i32.const 600) (i32.const 4))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br_if $l (i32.lt_u (local.get $n) (i32.const 250))))
        (i32.store (i32.const 512) (i32.const 0)) (i32.store (i32.const 520) (i32.const 0)) (i32.store (i32.const 524) (i32.const 0))
        (i32.store (i32.const 540) (i32.const 0)) (i32.const 512)";
    let guest = Guest::transform(opened(&[], vec![passed("name", 1)]), Act::Code(code.to_owned())).with_extra(text);
    let plugin = ENGINE.load_bytes("chatty.wasm", &guest.build()).unwrap();
    let transform = plugin.open_transform("f", &Value::Null, &batch().schema(), &limits()).unwrap();
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || transform.run(&CONTEXT, &batch()).unwrap());
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().filter(|line| line.contains(" INFO plugin: helo plugin=\"hostile\"")).count(), 100, "{text}");
    assert_eq!(plugin.log_lines_left_out(), 150);
}
