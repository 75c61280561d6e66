//! Why a component cannot be compiled: what is wrong with it, where in its file, and what its author can do.
//!
//! The engine is given the component as it was rewritten, so the places that it names are of no file that anybody has, and
//! the words are its own. So what it refuses is validated once more, as it was given: by the validator that the engine itself
//! is built on, without one proposal of WebAssembly after the other.

use wasmparser::{BinaryReaderError, Import, Parser, Payload, TypeRef, Validator, WasmFeatures};

/// Why a component is refused, and what its author can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) problem: String,
    /// One line.
    pub(crate) next: String,
}

/// What nodes cannot use of WebAssembly: each widens what would have to be proven the same on each machine.
const PROPOSALS: [(WasmFeatures, &str, &str); 8] = [
    (
        WasmFeatures::THREADS.union(WasmFeatures::SHARED_EVERYTHING_THREADS),
        "threads",
        "build without threads (Rust: without `-C target-feature=+atomics`; C: without `-pthread`)",
    ),
    (WasmFeatures::MEMORY64, "64-bit memory", "build for wasm32 and not for wasm64"),
    (
        WasmFeatures::RELAXED_SIMD,
        "relaxed SIMD",
        "build without relaxed SIMD (Rust: without `-C target-feature=+relaxed-simd`; C: without `-mrelaxed-simd`); SIMD of \
         fixed results may stay",
    ),
    (
        WasmFeatures::EXCEPTIONS.union(WasmFeatures::LEGACY_EXCEPTIONS),
        "exceptions",
        "build without exceptions of WebAssembly (Rust: `panic = \"abort\"`; C++: `-fno-exceptions`)",
    ),
    (WasmFeatures::GC, "garbage collection", WITHOUT_GC),
    (WasmFeatures::FUNCTION_REFERENCES, "typed references to functions", WITHOUT_GC),
    (WasmFeatures::GC_TYPES, "references into the host", WITHOUT_GC),
    (
        WasmFeatures::CM_ASYNC,
        "asynchronous functions of the component model",
        "build with an SDK that fits this host's contract (datanode:node@0.1.0): all of its functions are synchronous",
    ),
];
const WITHOUT_GC: &str = "build with a compiler that brings its own memory management and does not use the garbage collection of \
     WebAssembly, as those of Rust, C and TinyGo do";

/// For what the engine alone knows.
const ANOTHER_SDK: &str = "build it with an SDK that fits this host's contract (datanode:node@0.1.0)";
const SMALLER: &str =
    "make the component smaller: it has more functions, types or tables than this host keeps room for";

/// Characters of a problem that a compiling process tells.
const MOST_SAID: usize = 2_000;

impl Refused {
    /// What no part of the host takes, though the engine might.
    pub(crate) fn early(component: &[u8]) -> Option<Self> {
        // Of the module that is being read.
        let mut count = 0_u32;
        for payload in Parser::new(0).parse_all(component) {
            // What cannot be read is refused by those who know why.
            let Ok(payload) = payload else { return None };
            let (more, place) = match payload {
                Payload::Version { .. } => {
                    count = 0;
                    continue;
                }
                Payload::ImportSection(imports) => {
                    let place = imports.range().start;
                    let is_memory = |import: &Import<'_>| matches!(import.ty, TypeRef::Memory(_));
                    let memories = imports.into_imports().map_while(Result::ok).filter(is_memory).count();
                    (u32::try_from(memories).unwrap_or(u32::MAX), place)
                }
                Payload::MemorySection(memories) => (memories.count(), memories.range().start),
                _ => continue,
            };
            count = count.saturating_add(more);
            if count > 1 && more > 0 {
                return Some(Self {
                    problem: format!(
                        "byte {place} of the file: a module has {count} memories, where one is allowed"
                    ),
                    next: "build each module with one memory (without multi-memory)".to_owned(),
                });
            }
        }
        None
    }

    /// Why the engine, or who rewrites for it, refused this component with these words.
    pub(crate) fn by_engine(component: &[u8], words: &str) -> Self {
        let all = PROPOSALS.iter().fold(WasmFeatures::default(), |all, (features, ..)| all.union(*features));
        if let Err(error) = valid(component, all) {
            let place = error.offset();
            if valid(component, WasmFeatures::all()).is_ok() {
                return Self {
                    problem: format!("byte {place} of the file: {}", error.message()),
                    next: "build without proposals of WebAssembly that are not finished".to_owned(),
                };
            }
            return Self {
                problem: format!("byte {} of the file: {}", error.offset(), error.message()),
                next: "it is no valid WebAssembly: build it with a newer release of the tool that wrote it, and see what \
                       `wasm-tools validate` says of the file"
                    .to_owned(),
            };
        }
        for (features, name, next) in PROPOSALS {
            if let Err(error) = valid(component, all.difference(features)) {
                return Self {
                    problem: format!(
                        "byte {} of the file: it uses {name}, which no node may",
                        error.offset()
                    ),
                    next: next.to_owned(),
                };
            }
        }
        Self::of_words(words)
    }

    /// In the engine's own words, without the places that they name.
    pub(crate) fn of_words(words: &str) -> Self {
        // The words of the engine where a component fits none of its slots.
        let next = if words.contains("pooling allocator") { SMALLER } else { ANOTHER_SDK };
        Self { problem: without_places(words), next: next.to_owned() }
    }

    /// As a compiling process says it.
    pub(crate) fn said(&self) -> String {
        // Names of the component may be in it, and what a process says is cut off somewhere.
        let problem: String = self.problem.chars().take(MOST_SAID).collect();
        format!("{problem}\n{}", self.next)
    }

    /// From what a compiling process said.
    pub(crate) fn heard(said: &str) -> Self {
        let said = said.trim();
        said.rsplit_once('\n').map_or_else(
            || Self::of_words(said),
            |(problem, next)| Self { problem: problem.to_owned(), next: next.to_owned() },
        )
    }
}

fn valid(component: &[u8], features: WasmFeatures) -> Result<(), BinaryReaderError> {
    Validator::new_with_features(features).validate_all(component).map(drop)
}

/// `… (at offset 0x15)` and `… at offset 37: …`, which are places of the component as it was rewritten.
fn without_places(words: &str) -> String {
    let mut rest = words;
    let mut kept = String::new();
    while let Some((before, after)) = rest.split_once("at offset ") {
        let after = after.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == 'x');
        let (before, after) = match (before.strip_suffix(" ("), after.strip_prefix(')')) {
            (Some(before), Some(after)) => (before, after),
            _ => (before.trim_end(), after),
        };
        kept.push_str(before);
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (String, String) {
        let Refused { problem, next } = Refused::by_engine(&wat::parse_str(text).unwrap(), "its words");
        (problem, next)
    }

    #[test]
    fn what_no_node_may_use_is_named_with_its_place_in_the_file_and_the_way_out() {
        for (module, name, way) in [
            ("(memory 1 1 shared)", "threads", "without threads"),
            ("(memory i64 1)", "64-bit memory", "wasm32"),
            ("(tag)", "exceptions", "panic = \"abort\""),
            ("(type (struct (field (mut i32))))", "garbage collection", "memory management"),
            ("(func (param externref))", "references into the host", "memory management"),
            (
                "(func (param v128) (result v128) (i32x4.relaxed_trunc_f32x4_s (local.get 0)))",
                "relaxed SIMD",
                "without relaxed SIMD",
            ),
        ] {
            let (problem, next) = refused(&format!("(component (core module {module}))"));
            assert!(problem.starts_with("byte "), "{problem}");
            assert!(problem.contains(&format!("of the file: it uses {name}")), "{problem}");
            assert!(next.contains(way), "{next}");
        }
    }

    #[test]
    fn what_is_not_valid_is_told_with_its_place() {
        let (problem, next) = refused("(component (core module (func (result i32))))");
        assert!(problem.starts_with("byte ") && problem.contains("type mismatch"), "{problem}");
        assert!(next.contains("wasm-tools validate"), "{next}");
        // In a function, the place is that of the file and not of what the engine was given.
        let two = "(component (core module (func (result f64) (f64.add (f64.const 1) (f64.const 2))) (func (result i32))))";
        let bytes = wat::parse_str(two).unwrap();
        let place = Validator::new().validate_all(&bytes).err().unwrap().offset();
        assert!(refused(two).0.starts_with(&format!("byte {place} of the file")));
    }

    #[test]
    fn two_memories_of_one_module_are_refused_in_our_words() {
        let memories = |count: usize| {
            let memories = "(memory 1)".repeat(count);
            Refused::early(&wat::parse_str(format!("(component (core module {memories}))")).unwrap())
        };
        assert_eq!(memories(1), None);
        let problem = memories(2).unwrap().problem;
        assert!(problem.ends_with("a module has 2 memories, where one is allowed"), "{problem}");
        assert_eq!(Refused::early(b"\0asm"), None);
        // An imported one counts, and each module counts by itself.
        let modules = |modules: &str| {
            Refused::early(&wat::parse_str(format!("(component {modules})")).unwrap())
                .map(|refused| refused.problem)
        };
        let import = r#"(import "m" "m" (memory 1))"#;
        assert_eq!(modules(&format!("(core module {import}) (core module (memory 1))")), None);
        for two in [format!("{import} (memory 1)"), format!("{import} {import}")] {
            assert!(modules(&format!("(core module {two})")).unwrap().contains("has 2 memories"), "{two}");
        }
    }

    #[test]
    fn the_engines_words_are_kept_without_its_places() {
        for (words, kept) in [
            ("failed to parse: no tags (at offset 0x15)", "failed to parse: no tags"),
            (
                "Invalid input WebAssembly code at offset 37: no SIMD",
                "Invalid input WebAssembly code: no SIMD",
            ),
            ("no place at all", "no place at all"),
        ] {
            assert_eq!(Refused::of_words(words).problem, kept);
        }
    }

    #[test]
    fn what_a_compiling_process_says_is_understood() {
        let refused = Refused { problem: "several\nlines".to_owned(), next: "do this".to_owned() };
        // With the end of a line that a process puts behind it.
        assert_eq!(Refused::heard(&(refused.said() + "\n")), refused);
        assert_eq!(Refused::heard("one line").problem, "one line");
        let long = Refused { problem: "€".repeat(1 << 20), ..refused };
        assert_eq!(Refused::heard(&long.said()).next, "do this");
        assert!(long.said().len() < 3 * MOST_SAID + 100);
    }
}
