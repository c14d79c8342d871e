//! Guests written in WebAssembly text, because what they are for is to do what no SDK would let them: an answer is laid out word by word in their memory.

use std::path::Path;

use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::{Resolve, SourceMap};

/// A piece of an answer, as the canonical ABI lays it out.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A discriminant or a bool; what follows is aligned.
    Byte(u8),
    Word(u32),
    Text(&'static str),
    Bytes(Vec<u8>),
    /// Elements of whole words.
    List(Vec<Vec<Item>>),
}

pub(crate) use Item::{Byte, Bytes, List, Text, Word};

/// What a guest does when a function is called: WebAssembly text, with parameters by name, that leaves the address of the answer.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Answer(Vec<Item>),
    Code(String),
}

/// A guest with one function, `f`.
#[derive(Debug, Clone)]
pub(crate) struct Guest {
    world: &'static str,
    version: &'static str,
    pages: u32,
    extra: String,
    acts: Vec<(Signature, Act)>,
}

#[derive(Debug, Clone, Copy)]
struct Signature {
    export: &'static str,
    params: &'static str,
}

const CONTEXT: &str = "(param $epoch i64) (param $now i64) (param $has_watermark i32) (param $watermark i64)";

impl Guest {
    /// A transform that answers this to `open` and does that in `run`.
    pub(crate) fn transform(opened: Vec<Item>, run: Act) -> Self {
        let mut guest = Self::new("transformer", "transform", opened);
        let run_params = "CONTEXT (param $count i32) (param $columns i32) (param $columns_len i32)";
        guest.acts.push((Signature { export: "transform@VERSION#run", params: run_params }, run));
        guest
    }

    /// An aggregate that answers this to `open`, makes empty states, merges n states of n groups to what they were, and finishes them to rows without columns.
    pub(crate) fn aggregate(opened: Vec<Item>) -> Self {
        let mut guest = Self::new("aggregator", "aggregate", opened);
        let zeros = "(local.set $at (global.get $heap)) (global.set $heap (i32.add (local.get $at) (i32.const 4096)))";
        let blobs = |offsets: &str, len: &str, data: &str, data_len: &str| {
            let words = [(0, "(i32.const 0)"), (4, offsets), (8, len), (12, data), (16, data_len)];
            let stores: String = words.iter().map(|(offset, word)| format!("(i32.store offset={offset} (i32.const 512) {word})")).collect();
            format!("{stores} (i32.const 512)")
        };
        let echo = blobs("(local.get $offsets)", "(local.get $offsets_len)", "(local.get $data)", "(local.get $data_len)");
        let empty = blobs("(local.get $at)", "(i32.mul (i32.const 4) (i32.add (i32.const 1) (local.get $groups)))", "(i32.const 0)", "(i32.const 0)");
        let rows = "(i32.store (i32.const 512) (i32.const 0))
            (i32.store (i32.const 516) (i32.sub (i32.shr_u (local.get $offsets_len) (i32.const 2)) (i32.const 1)))
            (i32.store (i32.const 520) (i32.const 0)) (i32.store (i32.const 524) (i32.const 0)) (i32.const 512)";
        let acts = [
            (
                "accumulate",
                "CONTEXT (param $count i32) (param $columns i32) (param $columns_len i32) (param $group i32) (param $group_len i32) (param $groups i32)",
                format!("{zeros} {empty}"),
            ),
            ("merge", "BLOBS (param $group i32) (param $group_len i32) (param $groups i32)", echo.clone()),
            ("finish", "CONTEXT BLOBS", rows.to_owned()),
            ("migrate", "(param $version i32) (param $shape i32) (param $shape_len i32) BLOBS", echo),
        ];
        for (name, params, code) in acts {
            let export = match name {
                "accumulate" => "aggregate@VERSION#accumulate",
                "merge" => "aggregate@VERSION#merge",
                "finish" => "aggregate@VERSION#finish",
                _ => "aggregate@VERSION#migrate",
            };
            guest.acts.push((Signature { export, params }, Act::Code(code)));
        }
        guest
    }

    fn new(world: &'static str, interface: &str, opened: Vec<Item>) -> Self {
        let description = vec![Text("hostile"), Text("1.2.3"), Text("does what it should not"), Byte(0), Word(0), Word(0)];
        let functions = vec![List(vec![vec![Text("f"), Text("the only one"), Text("{}")]])];
        let (functions_export, open_export) = match interface {
            "transform" => ("transform@VERSION#functions", "transform@VERSION#open"),
            _ => ("aggregate@VERSION#functions", "aggregate@VERSION#open"),
        };
        let open_params =
            "(param $function i32) (param $function_len i32) (param $config i32) (param $config_len i32) (param $input i32) (param $input_len i32)";
        let opened = [vec![Byte(0)], opened].concat();
        Self {
            world,
            version: "0.1.0",
            pages: 8,
            extra: String::new(),
            acts: vec![
                (Signature { export: "plugin@VERSION#describe", params: "" }, Act::Answer(description)),
                (Signature { export: functions_export, params: "" }, Act::Answer(functions)),
                (Signature { export: open_export, params: open_params }, Act::Answer(opened)),
            ],
        }
    }

    /// With another act for the exported function `name`.
    pub(crate) fn with(mut self, name: &str, act: Act) -> Self {
        let slot = self.acts.iter_mut().find(|(signature, _)| signature.export.ends_with(&format!("#{name}"))).unwrap();
        slot.1 = act;
        self
    }

    /// With another memory, in pages of 64 KiB.
    pub(crate) fn with_pages(mut self, pages: u32) -> Self {
        self.pages = pages;
        self
    }

    /// With more definitions: imports come first in the module.
    pub(crate) fn with_extra(mut self, text: &str) -> Self {
        self.extra.push_str(text);
        self
    }

    /// Built for another version of the contract.
    pub(crate) fn with_version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// The core module, with its component type.
    pub(crate) fn build(&self) -> Vec<u8> {
        let mut module = wat::parse_str(self.text()).unwrap();
        embed(&mut module, self.world, self.version);
        module
    }

    fn text(&self) -> String {
        let mut memory = Memory::default();
        let mut functions = String::new();
        for (Signature { export, params }, act) in &self.acts {
            let code = match act {
                Act::Answer(items) => format!("(i32.const {})", memory.place(items)),
                Act::Code(code) => code.clone(),
            };
            functions += &format!("(func (export \"weir:plugin/{export}\") {params} (result i32) (local $at i32) (local $n i32) {code})\n");
        }
        let heap = memory.end();
        let data: String = memory.bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let text = format!(
            "(module {extra}
               (memory (export \"memory\") {pages})
               (global $heap (mut i32) (i32.const {heap}))
               (data (i32.const {BASE}) \"{data}\")
               (func (export \"cabi_realloc\") (param $old i32) (param $old_len i32) (param $align i32) (param $len i32) (result i32) (local $at i32)
                 (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
                 (global.set $heap (i32.add (local.get $at) (local.get $len)))
                 (local.get $at))
               {functions}
               {run_ends})",
            extra = self.extra,
            pages = self.pages,
            run_ends = if self.world == "transformer" {
                format!("(func (export \"cabi_post_weir:plugin/transform@VERSION#run\") (param i32) (global.set $heap (i32.const {heap})))")
            } else {
                String::new()
            },
        );
        text.replace("CONTEXT", CONTEXT)
            .replace("BLOBS", "(param $offsets i32) (param $offsets_len i32) (param $data i32) (param $data_len i32)")
            .replace("VERSION", self.version)
    }
}

/// A core module that says it is of this world, whatever it is.
pub(crate) fn embed(module: &mut Vec<u8>, world: &str, version: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut sources = SourceMap::default();
    for name in ["table", "plugin", "transform", "aggregate", "worlds"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.wit"))).unwrap();
        sources.push_str(name, text.replace("@0.1.0", &format!("@{version}")));
    }
    let mut resolve = Resolve::default();
    let group = sources.parse().map_err(|(_, error)| error).unwrap();
    let package = resolve.push_group(group).unwrap();
    let world = resolve.select_world(&[package], Some(world)).unwrap();
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8, false).unwrap();
}

/// A field of a schema, as `open` answers it in an aggregate.
pub(crate) fn field(name: &'static str, data_type: &'static str, nullable: bool) -> Vec<Item> {
    vec![Text(name), Text(data_type), Byte(u8::from(nullable))]
}

/// A computed column, as `open` answers it in a transform.
pub(crate) fn computed(name: &'static str, data_type: &'static str, nullable: bool) -> Vec<Item> {
    [vec![Byte(0)], field(name, data_type, nullable)].concat()
}

/// A passed column.
pub(crate) fn passed(name: &'static str, input: u32) -> Vec<Item> {
    vec![Byte(1), Text(name), Word(input), Word(0), Word(0)]
}

/// What `open` answers in a transform.
pub(crate) fn opened(reads: &[u32], output: Vec<Vec<Item>>) -> Vec<Item> {
    vec![List(reads.iter().map(|read| vec![Word(*read)]).collect()), List(output)]
}

/// A column of an answer.
pub(crate) fn column(data: &[u8], offsets: &[u32], validity: &[u8]) -> Vec<Item> {
    vec![Bytes(data.to_vec()), Bytes(u32s(offsets)), Bytes(validity.to_vec())]
}

/// What `run` answers.
pub(crate) fn transformed(columns: Vec<Vec<Item>>, origin: Option<&[u32]>, rejected: Vec<Vec<Item>>) -> Act {
    let origin = origin.map(u32s);
    let is_some = u8::from(origin.is_some());
    Act::Answer(vec![Byte(0), List(columns), Byte(is_some), Bytes(origin.unwrap_or_default()), List(rejected)])
}

/// A rejection.
pub(crate) fn rejection(row: u32) -> Vec<Item> {
    vec![Word(row), Text("bad"), Text("it is bad")]
}

/// Numbers as the contract has them.
pub(crate) fn u32s(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Answers of `run` begin here: below what is laid out.
pub(crate) const ANSWER: u32 = 512;

const BASE: u32 = 1024;

/// What lies in a guest's memory from the start.
#[derive(Default)]
struct Memory {
    bytes: Vec<u8>,
}

impl Memory {
    fn end(&self) -> u32 {
        BASE + u32::try_from(self.bytes.len()).unwrap()
    }

    /// Lays out a record and what it points to.
    fn place(&mut self, items: &[Item]) -> u32 {
        let record = self.record(items);
        self.put(&record)
    }

    fn put(&mut self, bytes: &[u8]) -> u32 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let address = self.end();
        self.bytes.extend_from_slice(bytes);
        address
    }

    fn record(&mut self, items: &[Item]) -> Vec<u8> {
        let mut record = Vec::new();
        for item in items {
            let (bytes, count) = match item {
                Byte(byte) => {
                    record.extend_from_slice(&u32::from(*byte).to_le_bytes());
                    continue;
                }
                Word(word) => {
                    record.extend_from_slice(&word.to_le_bytes());
                    continue;
                }
                Text(text) => (text.as_bytes().to_vec(), text.len()),
                Bytes(bytes) => (bytes.clone(), bytes.len()),
                List(elements) => (elements.iter().flat_map(|element| self.record(element)).collect(), elements.len()),
            };
            let address = self.put(&bytes);
            record.extend_from_slice(&address.to_le_bytes());
            record.extend_from_slice(&u32::try_from(count).unwrap().to_le_bytes());
        }
        record
    }
}
