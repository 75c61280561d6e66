//! Everything that most nodes use: `use datanode_sdk::prelude::*;`.

pub use crate::frames::{BatchExt, FrameBuilder, Frames, TimestampsExt};
pub use crate::sources::{Request, Response};
pub use crate::{
    Context, Coordinate, CoordinateValue, DataNode, DataType, Dependency, HostError, Identities, NoConfig,
    NodeError, Output, Query, RangeMap, ResultExt, Source, TableRef, Timestamp, Unlisted, UpdateStatistics,
    Window,
};
pub use crate::{debug, error, info, warn};
pub use arrow_array::{Array, RecordBatch};
pub use schemars::{self, JsonSchema};
pub use serde::{self, Deserialize, Serialize};
pub use serde_json::json;
