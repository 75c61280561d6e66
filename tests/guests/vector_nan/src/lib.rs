//! Component `vector_nan`: the bits of what vector arithmetic makes of NaN.
//!
//! What the golden component `c_nan_bits` is for numbers one by one. Guests are built with vectors, so that loops over
//! columns take several numbers at once: each instruction that has a number for an answer is here (`lanes.rs`), and loops
//! of which the compiler makes vectors by itself.

#[cfg(target_arch = "wasm32")]
mod lanes;

use std::hint::black_box;

use datanode_sdk::prelude::*;

#[cfg(all(target_arch = "wasm32", not(target_feature = "simd128")))]
compile_error!("guests are built with `-Ctarget-feature=+simd128`: see host/build/src/compile.rs");

/// What one node computes with.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Payload of the NaNs that are computed with.
    #[serde(default = "seven")]
    #[schemars(example = 7, range(min = 1, max = 1_000_000))]
    pub payload: u32,
}

fn seven() -> u32 {
    7
}

/// Numbers of which arithmetic makes NaN, and NaNs of both signs with a payload each.
struct Numbers {
    wide: Vec<f64>,
    narrow: Vec<f32>,
}

impl Numbers {
    /// So many that loops over them are worth vectors.
    const COUNT: usize = 64;

    fn new(payload: u32, from: usize) -> Self {
        const WIDE: [f64; 6] = [0.0, -1.0, f64::INFINITY, 1.0, f64::NEG_INFINITY, -0.0];
        const NARROW: [f32; 6] = [0.0, -1.0, f32::INFINITY, 1.0, f32::NEG_INFINITY, -0.0];
        let payloads = (from..).map(|number| payload + u32::try_from(number % 100).unwrap_or_default());
        let (mut wide, mut narrow) = (Vec::new(), Vec::new());
        for (number, payload) in (from..from + Self::COUNT).zip(payloads) {
            let negative = u32::from(number % 4 < 2);
            if number % 2 == 0 {
                wide.push(WIDE[number / 2 % WIDE.len()]);
                narrow.push(NARROW[number / 2 % NARROW.len()]);
            } else {
                wide.push(f64::from_bits(
                    0x7ff8_0000_0000_0000 | u64::from(negative) << 63 | u64::from(payload),
                ));
                narrow.push(f32::from_bits(0x7fc0_0000 | negative << 31 | payload));
            }
        }
        Self { wide, narrow }
    }
}

/// A loop whose steps do not depend on one another.
#[inline(never)]
fn wide_loop(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| (a - b) / (a * b) + a.sqrt()).collect()
}

/// The same of the other width.
#[inline(never)]
fn narrow_loop(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| (a - b) / (a * b) + a.sqrt()).collect()
}

/// From one width to the other.
#[inline(never)]
fn widening_loop(a: &[f32], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) + b).collect()
}

/// Operation, and the bits of one number of its result.
type Row = (&'static str, u64);

fn loops(config: &Config) -> Vec<Row> {
    let (a, b) = (Numbers::new(config.payload, 0), Numbers::new(config.payload, 3));
    let (a, b) = (black_box(a), black_box(b));
    let wide = wide_loop(&a.wide, &b.wide).into_iter().map(|value| ("loop of 64 bits", value.to_bits()));
    let narrow = narrow_loop(&a.narrow, &b.narrow)
        .into_iter()
        .map(|value| ("loop of 32 bits", u64::from(value.to_bits())));
    let widening = widening_loop(&a.narrow, &b.wide)
        .into_iter()
        .map(|value| ("loop of 32 and 64 bits", value.to_bits()));
    wide.chain(narrow).chain(widening).collect()
}

#[cfg(target_arch = "wasm32")]
fn instructions(config: &Config) -> Vec<Row> {
    lanes::results(config.payload)
}

#[cfg(not(target_arch = "wasm32"))]
fn instructions(_: &Config) -> Vec<Row> {
    Vec::new()
}

/// The node.
pub struct VectorNan;

impl DataNode for VectorNan {
    type Config = Config;
    const NAME: &str = "vector_nan";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "Bits of NaN after vector arithmetic, for tests.";

    fn output() -> Output {
        Output::new(["time_index"])
            .column("time_index", DataType::TimestampTz, "One microsecond per row, from 1970 on.")
            .column("operation", DataType::String, "The operation.")
            .column("bits", DataType::Int64, "The bits of one lane of its result.")
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        if !context.is_missing(Timestamp::from_micros(0), &[]) {
            return Ok(());
        }
        let rows = [loops(config), instructions(config)].concat();
        info!("computed", rows = rows.len());
        let frame = FrameBuilder::new()
            .timestamps("time_index", (0..).take(rows.len()).map(Timestamp::from_micros))
            .strings("operation", rows.iter().map(|(operation, _)| operation))
            .integers("bits", rows.iter().map(|(_, bits)| bits.cast_signed()))
            .build()?;
        context.emit(&frame)
    }
}

datanode_sdk::export!(VectorNan);
