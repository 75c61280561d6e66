//! Asks for what lies beside the base URL, in every writing of dots and separators.

use datanode_hostile_sources::{API, all_refused};
use datanode_sdk::prelude::*;

datanode_hostile_sources::node!("climbs_out_of_the_url", |context| {
    let paths = [
        "../admin",
        "echo/../../admin",
        "%2e%2e/admin",
        "%2E%2E%2fadmin",
        "..%2fadmin",
        "echo/..;/..;/admin",
        "..\\admin",
        "..%5cadmin",
        "%252e%252e/admin",
        "./admin",
        "\u{ff0e}\u{ff0e}/admin",
        "echo/.\t./admin",
    ];
    all_refused(context, "source.path", paths.map(|path| Request::get(API, path)).to_vec())
});
