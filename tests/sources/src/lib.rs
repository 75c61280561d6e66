//! Components that ask sources for what they may not have: the secrets of the operator, other hosts, other files.
//!
//! All declare the sources `api` (HTTP, with a secret that the host adds) and `files` (a directory), and aim at the table
//! of tests/hostile/contract.toml. What one gets, it tries to carry out: through its log, its error, or its rows.

use datanode_sdk::prelude::*;

/// The source that is asked by HTTP.
pub const API: &str = "api";
/// The source that is a directory.
pub const FILES: &str = "files";

/// Make the file a component of this name.
#[macro_export]
macro_rules! node {
    ($name:literal, $update:expr) => {
        struct Hostile;

        impl ::datanode_sdk::DataNode for Hostile {
            type Config = ::datanode_sdk::NoConfig;
            const NAME: &str = $name;
            const VERSION: &str = env!("CARGO_PKG_VERSION");
            const DESCRIPTION: &str = "A test of sources, hostile on purpose.";

            fn sources() -> Vec<::datanode_sdk::Source> {
                $crate::declared()
            }

            fn output() -> ::datanode_sdk::Output {
                ::datanode_sdk::Output::depends_on_config()
            }

            fn update(
                _: &::datanode_sdk::NoConfig,
                context: &mut ::datanode_sdk::Context,
            ) -> Result<(), ::datanode_sdk::NodeError> {
                let update: fn(&mut ::datanode_sdk::Context) -> Result<(), ::datanode_sdk::NodeError> =
                    $update;
                update(context)
            }
        }

        ::datanode_sdk::export!(Hostile);
    };
}

/// What all of them declare.
pub fn declared() -> Vec<Source> {
    vec![Source::optional(API, "A server of the test."), Source::optional(FILES, "A directory of the test.")]
}

/// Carry it out: into the log, and as an error.
pub fn carry_out(loot: &str) -> Result<(), NodeError> {
    info!("loot", loot = loot);
    Err(NodeError::new("loot", loot))
}

/// Fetch, and carry out status, headers and body.
pub fn steal(context: &mut Context, request: Request) -> Result<(), NodeError> {
    let response = context.fetch(request)?;
    let (status, headers) = (response.status, format!("{:?}", response.headers));
    let body = String::from_utf8_lossy(&response.bytes()?).into_owned();
    carry_out(&format!("{status} {headers} {body}"))
}

/// All requests must be refused with this code; then the last refusal is the error.
pub fn all_refused(context: &mut Context, code: &str, requests: Vec<Request>) -> Result<(), NodeError> {
    let mut last = None;
    for request in requests {
        let asked = format!("{} {}", request.method, request.path);
        match context.fetch(request) {
            Ok(response) => return carry_out(&format!("{asked}: {}", response.status)),
            Err(error) if error.code != code => return carry_out(&format!("{asked}: {}", error.code)),
            Err(error) => last = Some(error),
        }
    }
    last.map_or(Ok(()), |error| Err(error.into()))
}
