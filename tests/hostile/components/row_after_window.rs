//! Attacks the run's notion of now with a row of the future; the check against the window's end must refuse it.

use datanode_hostile::good;
use datanode_sdk::chrono::TimeDelta;

datanode_hostile::node!("row_after_window", |context| {
    let end = context.window().end;
    context.emit(&good(&[(end, "a"), (end + TimeDelta::microseconds(1), "a")])?)
});
