//! Components written by hand: a file of `components/*.wat` made a component.
//!
//! A file that begins with `(component` is one already. Any other holds the fields of a core module, and only those in
//! which it attacks: the rest is a node that behaves. What a file may use, and define in another way:
//!
//! | name | what it is |
//! | --- | --- |
//! | `$emit`, `$log`, `$option`, `$open`, `$reader_schema`, `$reader_next`, `$drop_reader`, `$fetch`, `$read_body`, `$drop_body` | the imports, as the canonical ABI flattens them |
//! | `(memory $memory …)` | its memory; by default what its data need and a page |
//! | `(func $config (result i32) …)` | answers the address of a `component-config`; by default `$manifest` |
//! | `(func $dependencies (param i32 i32) (result i32) …)` | by default `$ok`: none |
//! | `(func $update …)`, `(func $update (result i32) …)` | what the file is about; by default `$ok` |
//! | `(func $after_update (param i32) …)` | its post-return; by default there is none |
//! | `(func $realloc (param i32 i32 i32 i32) (result i32) …)` | by default an allocator that frees nothing |
//! | `$open_self` | opens the output table: a handle |
//! | `$author_error` | the address of an error value; its kind and message are set by `$say` (pointer, length) |
//! | `$answer` | 64 bytes for answers of host calls |
//! | `$NAME`, `$NAME.length` | a message of `arrow.rs`, and its bytes; with `$NAME.nodes`, `$NAME.buffers`, … the address of a part |
//! | `$emit_NAME` | emits that message |
//!
//! A module whose debug information attacks gets it from `debug.rs`, by the name of its file.

pub mod arrow;
mod debug;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const PAGE: usize = 64 << 10;
/// Where the data of every guest begins; below it, whatever a file likes.
const FIRST: usize = 4 * PAGE;

const IMPORTS: [(&str, &str, &str, &str); 10] = [
    ("frames", "emit", "$emit", "i32 i32"),
    ("frames", "open", "$open", "i32 i32"),
    ("frames", "[method]frame-reader.schema", "$reader_schema", "i32 i32"),
    ("frames", "[method]frame-reader.next", "$reader_next", "i32 i32"),
    ("frames", "[resource-drop]frame-reader", "$drop_reader", "i32"),
    ("log", "write", "$log", "i32 i32 i32 i32 i32"),
    ("options", "get", "$option", "i32 i32 i32"),
    ("sources", "fetch", "$fetch", "i32 i32"),
    ("sources", "[method]body.read", "$read_body", "i32 i32 i32"),
    ("sources", "[resource-drop]body", "$drop_body", "i32"),
];

/// The file of a component.
pub fn file(name: &str) -> PathBuf {
    datanode_tests::root().join("tests/hostile/components").join(format!("{name}.wat"))
}

/// The component of a file.
pub fn component(name: &str) -> Vec<u8> {
    let text = std::fs::read_to_string(file(name)).unwrap_or_else(|error| panic!("{name}.wat: {error}"));
    let code = text.lines().find(|line| !line.is_empty() && !line.starts_with(";;")).unwrap_or_default();
    let parsed = |text: &str| wat::parse_str(text).unwrap_or_else(|error| panic!("{name}.wat: {error}"));
    if code.starts_with("(component") {
        return parsed(&text);
    }
    let mut module = parsed(&module(name, &text));
    let mut contract = Resolve::default();
    let (package, _) = contract.push_path(Path::new(datanode_tests::root()).join("wit/v0")).unwrap();
    let world = contract.select_world(&[package], Some("data-node")).unwrap();
    embed_component_metadata(&mut module, &contract, world, StringEncoding::UTF8).unwrap();
    module.extend(debug::sections(name));
    // Not validated here: what is invalid is the host's to refuse.
    ComponentEncoder::default().validate(false).module(&module).unwrap().encode().unwrap()
}

/// Bytes of the guest's memory, laid out one after the other.
struct Data {
    text: String,
    next: usize,
}

impl Data {
    fn put(&mut self, bytes: &[u8]) -> usize {
        let at = self.next;
        let escaped = bytes.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "\\{byte:02x}");
            text
        });
        let _ = writeln!(self.text, "(data (i32.const {at}) \"{escaped}\")");
        self.next = (at + bytes.len()).next_multiple_of(64);
        at
    }

    /// The address of pairs of pointer and length, as lists and texts are laid out.
    fn words(&mut self, words: &[usize]) -> usize {
        let word = |word: &usize| u32::try_from(*word).unwrap().to_le_bytes();
        self.put(&words.iter().flat_map(word).collect::<Vec<u8>>())
    }
}

fn global(name: &str, value: usize) -> String {
    format!("(global ${name} i32 (i32.const {value}))\n")
}

/// The module of a file, with everything that the file does not say.
fn module(name: &str, file: &str) -> String {
    let mut data = Data { text: String::new(), next: FIRST };
    let mut globals = String::new();
    let mut functions = String::new();

    let ok = data.put(&[0; 64]);
    globals += &global("ok", ok);
    globals += &global("answer", data.put(&[0; 64]));
    let texts = [
        name,
        "0.1.0",
        "A test of the sandbox, hostile on purpose.",
        r#"{"type":"object","additionalProperties":false,"properties":{}}"#,
    ];
    let mut manifest: Vec<usize> =
        texts.iter().flat_map(|text| [data.put(text.as_bytes()), text.len()]).collect();
    // No default start (16 bytes), no sources, no index, no columns.
    manifest.extend([0; 10]);
    globals += &global("manifest", data.words(&manifest));

    let own = data.put(b"self");
    let mut open = vec![own, 4];
    open.extend([0; 24]);
    globals += &global("open_arguments", data.words(&open));
    functions += "(func $open_self (result i32)
        (call $open (global.get $open_arguments) (global.get $answer))
        (if (i32.load8_u (global.get $answer)) (then unreachable))
        (i32.load offset=4 (global.get $answer)))\n";

    let kind = data.put(b"hostile");
    globals += &global("author_error", data.words(&[1, kind, 7, 0, 0, 0, 0, 0, 0, 0]));
    functions += "(func $say (param $pointer i32) (param $length i32)
        (i32.store offset=12 (global.get $author_error) (local.get $pointer))
        (i32.store offset=16 (global.get $author_error) (local.get $length)))\n";

    for (name, message) in messages_of(file) {
        let at = data.put(&message.bytes);
        globals += &global(&name, at);
        globals += &global(&format!("{name}.length"), message.bytes.len());
        for (part, offset) in &message.parts {
            globals += &global(&format!("{name}.{part}"), at + offset);
        }
        let _ = writeln!(
            functions,
            "(func $emit_{name} (call $emit (global.get ${name}) (global.get ${name}.length)))"
        );
    }
    let _ = writeln!(globals, "(global $heap (mut i32) (i32.const {}))", data.next);

    let has = |name: &str| file.contains(&format!("({name}"));
    if !has("memory $memory") {
        let _ = writeln!(functions, "(memory $memory {})", data.next.div_ceil(PAGE) + 1);
    }
    if !has("func $config") {
        functions += "(func $config (result i32) (global.get $manifest))\n";
    }
    if !has("func $dependencies") {
        functions += "(func $dependencies (param i32 i32) (result i32) (global.get $ok))\n";
    }
    if !has("func $update") {
        functions += "(func $update)\n";
    }
    if !has("func $realloc") {
        functions += "(func $realloc (param $old i32) (param $held i32) (param $align i32) (param $size i32) (result i32)
            (local $at i32)
            (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
            (global.set $heap (i32.add (local.get $at) (local.get $size)))
            (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
                (then (drop (memory.grow (i32.add (i32.shr_u (local.get $size) (i32.const 16)) (i32.const 1))))))
            (local.get $at))\n";
    }
    let answer = if has("func $update (result i32)") { "" } else { "(global.get $ok)" };
    if has("func $after_update") {
        functions += "(export \"cabi_post_datanode:node/node@0.1.0#update\" (func $after_update))\n";
    }
    let imports = IMPORTS.iter().fold(String::new(), |mut text, (interface, function, name, parameters)| {
        let _ = writeln!(
            text,
            "(import \"datanode:node/{interface}@0.1.0\" \"{function}\" (func {name} (param {parameters})))"
        );
        text
    });
    format!(
        "(module
{imports}
{globals}
{functions}
{file}
(func $called_update (param i32 i32 i32 i32 i32 i64 i32 i64 i32 i32 i32 i64 i64 i32) (result i32)
    (call $update) {answer})
(export \"memory\" (memory $memory))
(export \"cabi_realloc\" (func $realloc))
(export \"datanode:node/node@0.1.0#config\" (func $config))
(export \"datanode:node/node@0.1.0#dependencies\" (func $dependencies))
(export \"datanode:node/node@0.1.0#update\" (func $called_update))
{}
)",
        data.text
    )
}

/// The messages that a file names.
fn messages_of(file: &str) -> BTreeMap<String, arrow::Message> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    let words = file.split('$').skip(1).map(|rest| rest.split(|c| !is_part(c)).next().unwrap_or_default());
    let named = words.map(|word| word.strip_prefix("emit_").unwrap_or(word));
    named.filter_map(|name| Some((name.to_owned(), arrow::message(name)?))).collect()
}
