//! Golden components: built from tests/golden by the toolchains of their languages, and run once to be recorded.
//!
//! What comes of it is checked in, so that neither tests nor CI need these toolchains. It takes Python 3 with venv, Node,
//! and the registries of both; everything is installed below target/golden.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use wasi_preview1_component_adapter_provider::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER;

use crate::shell::{cargo, read, root, run, target};

const ZIG: &str = "ziglang==0.17.0";
const NANOARROW: &str = "0.9.0";

/// A component, the table that it writes, and its config.
struct Golden {
    name: &'static str,
    table: &'static str,
    config: &'static str,
    /// Imports WASI.
    stubbed: bool,
}

const GOLDENS: [Golden; 5] = [
    Golden {
        name: "c_moving_mean",
        table: "moving_means",
        config: r#"{"readings_table": "readings", "days": 5}"#,
        stubbed: false,
    },
    Golden {
        name: "js_weekday_labels",
        table: "weekday_labels",
        config: r#"{"readings_table": "readings", "means_table": "moving_means", "days": 5}"#,
        stubbed: false,
    },
    Golden { name: "c_nan_bits", table: "nan_bits", config: "{}", stubbed: false },
    Golden { name: "c_clock_and_dice", table: "clock_and_dice", config: "{}", stubbed: true },
    Golden { name: "js_clock_and_dice", table: "js_clock_and_dice", config: "{}", stubbed: true },
];

/// What is recorded: the second run of each node, which finds rows and statistics.
const UNTIL: [&str; 2] = ["2020-02-29", "2020-04-15"];

/// Entry of `cargo xtask golden`: build all, run them, keep bundle and digest of each.
pub(crate) fn record() -> Result<()> {
    let place = target().join("golden");
    fs::create_dir_all(&place)?;
    let c = C::prepare(&place)?;
    for (source, name, adapter) in [
        ("moving_mean", "c_moving_mean", false),
        ("nan_bits", "c_nan_bits", false),
        ("clock_and_dice", "c_clock_and_dice", true),
    ] {
        c.build(source, &place.join(format!("{name}.wasm")), adapter)?;
    }
    javascript(&place)?;
    crate::guests::build()?;
    run(cargo().args(["build", "--quiet", "--workspace", "--all-targets", "--locked"]))?;
    let digests = bundles(&place)?;
    let text = serde_json::to_string_pretty(&digests)? + "\n";
    Ok(fs::write(root().join("tests/golden/digests.json"), text)?)
}

/// What C components are compiled with.
struct C {
    place: PathBuf,
    python: PathBuf,
    /// Sources of nanoarrow.
    arrow: PathBuf,
    /// Those of the runtime of flatcc, which come with it.
    flatcc: PathBuf,
}

impl C {
    fn prepare(place: &Path) -> Result<Self> {
        let python = place.join("venv/bin/python");
        if !python.exists() {
            run(Command::new("python3").args(["-m", "venv"]).arg(place.join("venv")))?;
        }
        let pip = || {
            let mut pip = Command::new(&python);
            pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]).current_dir(place);
            pip
        };
        run(pip().args(["install", ZIG]))?;
        let unpacked = place.join(format!("nanoarrow-{NANOARROW}"));
        if !unpacked.exists() {
            let wanted = format!("nanoarrow=={NANOARROW}");
            run(pip().args(["download", "--no-deps", "--no-binary", "nanoarrow", &wanted]))?;
            run(Command::new("tar")
                .arg("xzf")
                .arg(format!("nanoarrow-{NANOARROW}.tar.gz"))
                .current_dir(place))?;
        }
        let subprojects = unpacked.join("subprojects");
        let flatcc = fs::read_dir(&subprojects)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| {
                path.is_dir()
                    && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("flatcc-"))
            })
            .context("nanoarrow comes with flatcc")?;
        let arrow = subprojects.join("arrow-nanoarrow/src");
        configure(&arrow, &place.join("include/nanoarrow"))?;
        let mut bindgen = cargo();
        bindgen.args([
            "run",
            "--quiet",
            "--manifest-path",
            "guest-sdk/rust/Cargo.toml",
            "-p",
            "datanode-bindgen",
            "--",
        ]);
        run(bindgen
            .arg("--c")
            .arg(place.join("bindings"))
            .env("CARGO_TARGET_DIR", target().join("guests-native")))?;
        Ok(Self { place: place.to_owned(), python, arrow, flatcc })
    }

    fn build(&self, source: &str, component: &Path, adapter: bool) -> Result<()> {
        let Self { place, python, arrow, flatcc } = self;
        let own = root().join("tests/golden/c");
        let module = place.join(format!("{source}.core.wasm"));
        let mut zig = Command::new(python);
        zig.args(["-m", "ziglang", "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-O2", "-s"]);
        for include in [&own, &place.join("bindings"), &place.join("include"), &flatcc.join("include")] {
            zig.arg("-I").arg(include);
        }
        zig.args([own.join(format!("{source}.c")), own.join("node.c")]);
        zig.args(["data_node.c", "data_node_component_type.o"].map(|file| place.join("bindings").join(file)));
        let parts =
            ["common/array", "common/schema", "common/utils", "ipc/decoder", "ipc/encoder", "ipc/codecs"];
        zig.args(parts.map(|part| arrow.join("nanoarrow").join(format!("{part}.c"))));
        let runtime = ["builder", "emitter", "verifier", "refmap"];
        zig.args(runtime.map(|part| flatcc.join("src/runtime").join(format!("{part}.c"))));
        // What asserts say of their files is the same wherever it is built.
        zig.arg(format!("-ffile-prefix-map={}=.", place.display()));
        // The caches of zig stay below target, too.
        zig.env("ZIG_GLOBAL_CACHE_DIR", place.join("zig")).env("ZIG_LOCAL_CACHE_DIR", place.join("zig"));
        run(zig.arg("-o").arg(&module))?;
        let mut encoder =
            wit_component::ComponentEncoder::default().validate(true).module(&fs::read(&module)?)?;
        if adapter {
            encoder = encoder.adapter("wasi_snapshot_preview1", ADAPTER)?;
        }
        Ok(fs::write(component, encoder.encode()?)?)
    }
}

/// The headers of nanoarrow with their configuration filled in.
fn configure(arrow: &Path, into: &Path) -> Result<()> {
    for folder in ["", "common", "ipc"] {
        fs::create_dir_all(into.join(folder))?;
        for entry in fs::read_dir(arrow.join("nanoarrow").join(folder))? {
            let path = entry?.path();
            if let Some(name) = path.file_name().filter(|_| path.extension().is_some_and(|end| end == "h")) {
                fs::copy(&path, into.join(folder).join(name))?;
            }
        }
    }
    let mut text = fs::read_to_string(arrow.join("nanoarrow/nanoarrow_config.h.in"))?;
    let mut numbers = NANOARROW.split('.');
    for name in ["MAJOR", "MINOR", "PATCH"] {
        text = text.replace(&format!("@NANOARROW_VERSION_{name}@"), numbers.next().unwrap_or("0"));
    }
    text = text.replace("@NANOARROW_VERSION@", NANOARROW).replace("@NANOARROW_NAMESPACE_DEFINE@", "");
    Ok(fs::write(into.join("nanoarrow_config.h"), text)?)
}

fn javascript(place: &Path) -> Result<()> {
    let build = place.join("javascript");
    fs::create_dir_all(&build)?;
    for file in ["node.js", "clock_and_dice.js", "text.js", "package.json", "package-lock.json"] {
        fs::copy(root().join("tests/golden/javascript").join(file), build.join(file))?;
    }
    run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&build))?;
    let npx = || {
        let mut npx = Command::new("npx");
        npx.arg("--no-install").current_dir(&build);
        npx
    };
    for (source, name, stubs) in [
        ("node.js", "js_weekday_labels", &["--stub-wasi"][..]),
        ("clock_and_dice.js", "js_clock_and_dice", &[]),
    ] {
        run(npx()
            .args(["esbuild", source, "--bundle", "--format=esm", "--platform=neutral", "--minify"])
            .args(["--main-fields=module,main", "--external:datanode:*", "--outfile=bundled.js"])
            .arg("--allow-overwrite"))?;
        let mut componentize = npx();
        componentize.args(["componentize-qjs", "--js", "bundled.js", "--world", "data-node", "--wit"]);
        componentize.arg(root().join("wit/v0")).args(stubs).args(["--sync", "--opt-size", "--output"]);
        run(componentize.arg(place.join(format!("{name}.wasm"))))?;
    }
    Ok(())
}

/// Run each component in one project, and keep the second run of each as a bundle; answers their digests.
fn bundles(place: &Path) -> Result<Value> {
    let home = place.join("project");
    let _ = fs::remove_dir_all(&home);
    let datanode = |words: &[&str]| {
        let mut command = Command::new(target().join("debug/datanode"));
        command.args(words).arg("--home").arg(home.join(".datanode")).current_dir(place);
        command.env_remove("DATANODE_DATABASE_URL");
        command
    };
    fs::create_dir_all(&home)?;
    run(datanode(&["component", "upload"]).arg(target().join("components/daily_readings.wasm")))?;
    let golden = root().join("tests/golden");
    run(datanode(&["table", "register"]).arg(golden.join("contracts/readings.toml")))?;
    for Golden { name, table, config, stubbed } in &GOLDENS {
        let mut upload = datanode(&["component", "upload"]);
        upload.arg(place.join(format!("{name}.wasm")));
        if *stubbed {
            upload.arg("--allow-stubbed-wasi");
        }
        run(&mut upload)?;
        run(datanode(&["table", "register"]).arg(golden.join(format!("contracts/{table}.toml"))))?;
        run(datanode(&["node", "create", name, "--table", table, "--config", config]).arg("--json"))?;
    }
    for until in UNTIL {
        for Golden { table, .. } in &GOLDENS {
            run(datanode(&["node", "run", table, "--until", until, "--progress", "none"]).arg("--json"))?;
        }
    }
    let mut digests = serde_json::Map::new();
    for Golden { name, table, .. } in &GOLDENS {
        // The latest run that emitted something.
        let runs: Value =
            serde_json::from_str(&read(datanode(&["run", "list", "--table", table]).arg("--json"))?)?;
        let latest =
            runs.as_array().and_then(|runs| runs.iter().find(|run| run["output_digest"].is_string()));
        let Some(latest) = latest else { bail!("`{name}` has emitted nothing") };
        let id = latest["run_id"].as_str().context("a run has an id")?;
        run(datanode(&["run", "export", id]).arg("--output").arg(golden.join(format!("{name}.tar"))))?;
        let entry = json!({
            "component": latest["component_digest"], "class": latest["component_class"],
            "output": latest["output_digest"], "rows": latest["rows_emitted"],
        });
        digests.insert((*name).to_owned(), entry);
    }
    Ok(Value::Object(digests))
}
