//! The main job, as a user would do it: only the `datanode` command, on the European Central Bank's reference rates.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::guests;
use crate::shell::{cargo, read, root, run, target};

/// The first leg ends here; the second goes to the end of the data.
const FIRST_LEG: &str = "2020-12-31";
/// What is run; its dependencies come along.
const NODE: &str = "fx_rolling_volatility";
const COMPONENTS: [&str; 3] = ["ecb_daily_fx_rates", "fx_log_returns", NODE];
const TABLES: [&str; 3] = ["fx_ecb_daily_rates", "fx_log_returns", NODE];

/// Entry of `cargo xtask demo`.
pub(crate) fn run_demo() -> Result<()> {
    println!("1. Build the host, the SDK and the three example nodes");
    // As the tests build it: by itself its dependencies would have other features, and be compiled once more.
    run(cargo().args(["build", "--quiet", "--workspace", "--all-targets", "--locked"]))?;
    guests::build()?;

    let home = target().join("demo");
    let datanode = Datanode { program: target().join("debug/datanode"), home };
    println!("\n2. Upload the components, register the tables, grant the source, create the nodes");
    let components = target().join("components");
    let example = root().join("examples/fx");
    datanode.run(&["init", &text(&datanode.home)?])?;
    for component in COMPONENTS {
        datanode.run(&["component", "upload", &text(&components.join(format!("{component}.wasm")))?])?;
    }
    for contract in TABLES {
        datanode.run(&["table", "register", &text(&example.join(format!("contracts/{contract}.toml")))?])?;
    }
    let data = text(&example.join("data"))?;
    datanode.run(&["source", "add", "ecb", "--path", &data, "--grant", "ecb_daily_fx_rates"])?;
    datanode.run(&["node", "create", NODE, "--table", NODE])?;

    let mut inserted = 0;
    println!("\n3. First leg: until {FIRST_LEG}");
    inserted += datanode.leg(&["node", "run", NODE, "--until", FIRST_LEG])?;
    println!("\n4. Second leg: to the end of the data, only what is new");
    inserted += datanode.leg(&["node", "run", NODE])?;

    println!("\n5. What is there now");
    datanode.run(&["table", "list"])?;
    println!();
    datanode.run(&["run", "list", "--limit", "6"])?;
    println!();
    datanode.run(&["table", "read", NODE, "--where", "currency=USD", "--start", "2026-10-26"])?;
    println!();
    datanode.run(&["table", "show", NODE, "--plot", "volatility", "--where", "currency=USD"])?;
    if inserted == 0 {
        println!("\nNothing new: this demo inserted 0 rows, because the tables had every row already.");
    }

    let program = shown(&datanode.program);
    println!("\nTry next (every command has --help, and --json):");
    println!("  export DATANODE_HOME={}", shown(&datanode.data()));
    for command in [
        "table show fx_ecb_daily_rates",
        "table read fx_ecb_daily_rates --where currency=USD --where currency=JPY --start 2026-10-01",
        "node show fx_rolling_volatility",
        "run list",
    ] {
        println!("  {program} {command}");
    }
    println!("To begin anew: rm -r {}", shown(&datanode.home));
    Ok(())
}

struct Datanode {
    program: PathBuf,
    home: PathBuf,
}

impl Datanode {
    fn data(&self) -> PathBuf {
        self.home.join(".datanode")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).env("DATANODE_HOME", self.data());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<()> {
        run(&mut self.command(arguments))
    }

    /// Run a leg, print what each node did, answer the rows inserted.
    fn leg(&self, arguments: &[&str]) -> Result<u64> {
        let begin = Instant::now();
        let answer = read(self.command(arguments).arg("--json"))?;
        let elapsed = begin.elapsed();
        let runs: Vec<Value> = serde_json::from_str(&answer)?;
        let mut all = 0;
        for run in &runs {
            let number = |name: &str| run[name].as_u64().unwrap_or(0);
            let micros = ["update_us", "commit_us"].map(|name| run["durations"][name].as_u64().unwrap_or(0));
            let (rows, work) = (number("rows_inserted"), micros.iter().sum::<u64>().max(1));
            all += rows;
            println!(
                "   {:<21} {:<6} {:>9} rows inserted {:>9} rows/s   run {}",
                run["table"].as_str().unwrap_or_default(),
                run["status"].as_str().unwrap_or_default(),
                rows,
                rows * 1_000_000 / work,
                run["run_id"].as_str().unwrap_or_default()
            );
        }
        println!("   {:.1} s in all", elapsed.as_secs_f64());
        Ok(all)
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).context("a path of this repository is not UTF-8")
}

/// A path as seen from the root of the repository, where the command was started.
fn shown(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}
