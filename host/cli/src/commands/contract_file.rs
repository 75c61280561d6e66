//! Contracts from files.

use std::path::Path;

use datanode_core::contract::Contract;

use crate::failure::Failure;

/// The largest contract that is read.
const MAX_CONTRACT_BYTES: u64 = 1024 * 1024;

/// Read and check a contract's file: JSON by its ending, else TOML. `then` is the command that is given again once the
/// file is mended, with `FILE` for the file.
pub(super) fn read(file: &Path, then: &str) -> anyhow::Result<Contract> {
    let name = file.display().to_string();
    let cannot = |problem: String| Failure::usage(format!("{name}: {problem}"));
    let unreadable = |error: std::io::Error| {
        cannot(error.to_string()).with_next_step("name a file that this user can read")
    };
    if std::fs::metadata(file).map_err(unreadable)?.len() > MAX_CONTRACT_BYTES {
        let failure = cannot(format!("larger than {MAX_CONTRACT_BYTES} bytes"));
        return Err(failure.with_next_step("name the file of a contract").into());
    }
    let text = std::fs::read_to_string(file).map_err(unreadable)?;
    let is_json = file.extension().is_some_and(|extension| extension == "json");
    let contract = if is_json { Contract::from_json(&text) } else { Contract::from_toml(&text) };
    let mend = || format!("mend the file, then: {then}");
    Ok(contract.map_err(|error| Failure::of(&error).at(&name).with_next_step(mend()).of_file(file))?)
}

/// A failure of what a file says.
pub(super) fn at(error: anyhow::Error, file: &Path) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(failure) if failure.is_of_question() => {
            failure.at(&file.display().to_string()).of_file(file).into()
        }
        Ok(failure) => failure.into(),
        Err(error) => error,
    }
}
