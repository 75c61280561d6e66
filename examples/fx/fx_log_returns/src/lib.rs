//! Component `fx_log_returns`: log returns of the euro reference rates.
//!
//! A return belongs to the later of two neighbouring observations of one currency. Where they lie further apart than
//! `max_gap_days`, there is none: the series was interrupted.

use datanode_sdk::chrono::TimeDelta;
use datanode_sdk::prelude::*;

/// Key of the one dependency.
const RATES: &str = "rates";

/// What one node of this component computes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Table of the daily rates, as written by `ecb_daily_fx_rates`.
    #[serde(default = "default_rates_table")]
    #[schemars(example = &"fx_ecb_daily_rates")]
    pub rates_table: TableRef,
    /// Two observations further apart than this many days give no return.
    #[serde(default = "default_max_gap_days")]
    #[schemars(example = 10)]
    pub max_gap_days: u32,
}

fn default_rates_table() -> TableRef {
    TableRef::new("fx_ecb_daily_rates")
}

fn default_max_gap_days() -> u32 {
    10
}

/// The node.
pub struct FxLogReturns;

impl DataNode for FxLogReturns {
    type Config = Config;
    const NAME: &str = "fx_log_returns";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "Daily log returns of currencies against the euro, from the reference rates of the \
        European Central Bank: the natural logarithm of a rate over the previous one of the same currency.";

    fn output() -> Output {
        Output::new(["time_index", "currency"])
            .column(
                "time_index",
                DataType::TimestampTz,
                "Day of the later of the two rates, at midnight UTC.",
            )
            .column("currency", DataType::String, "ISO 4217 code of the currency quoted against the euro.")
            .column(
                "log_return",
                DataType::Float64,
                "ln(rate / previous rate); positive when the euro gained.",
            )
    }

    fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
        Ok(vec![Dependency::node(RATES, "ecb_daily_fx_rates", json!({}), &config.rates_table)])
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        let max_gap = TimeDelta::days(config.max_gap_days.into());
        let mut identities = Identities::new(["currency"]);
        let mut series = Vec::<Series>::new();
        let (mut read, mut emitted, mut gaps) = (0, 0, 0);

        for batch in context.read(RATES, query(context, max_gap)?)? {
            let batch = batch?;
            read += batch.num_rows();
            let (times, currencies, rates) =
                (batch.timestamps("time_index")?, batch.strings("currency")?, batch.floats("rate")?);
            let numbers = identities.number(&batch)?;
            for coordinate in &identities.coordinates()[series.len()..] {
                series.push(Series { missing: context.missing(coordinate), latest: None });
            }
            let mut returns = Vec::new();
            for row in (0..batch.num_rows()).filter(|row| rates.is_valid(*row)) {
                let (time, rate) = (times.at(row), rates.value(row));
                if rate <= 0.0 {
                    return Err(NodeError::new(
                        "rates.not_positive",
                        format!("a rate of {rate} has no logarithm"),
                    )
                    .field("currency", currencies.value(row))
                    .field("time_index", time));
                }
                let series = &mut series[numbers[row]];
                let Some((before, from)) = series.latest.replace((time, rate)) else { continue };
                if !series.missing.contains(time) {
                    continue;
                }
                if time - before > max_gap {
                    gaps += 1;
                    info!(
                        "no return across a gap",
                        currency = currencies.value(row),
                        from = before,
                        to = time
                    );
                    continue;
                }
                returns.push((time, currencies.value(row), (rate / from).ln()));
            }
            emitted += returns.len();
            let frame = FrameBuilder::new()
                .timestamps("time_index", returns.iter().map(|(time, ..)| *time))
                .strings("currency", returns.iter().map(|(_, currency, _)| currency))
                .floats("log_return", returns.iter().map(|(.., log_return)| *log_return))
                .build()?;
            context.emit(&frame)?;
        }
        info!(
            "returns to store",
            identities = identities.len(),
            rows = emitted,
            rates_read = read,
            gaps = gaps,
            window = context.window(),
        );
        Ok(())
    }
}

/// What is known of a currency.
struct Series {
    /// Asked once, and not for each row.
    missing: Window,
    /// Its latest observation: when, and the rate.
    latest: Option<(Timestamp, f64)>,
}

/// Which rates are needed for the returns that are missing.
///
/// Per currency: from its latest *return* on, inclusive. That day has a rate, and it is the previous observation of
/// the first new one, so in the usual case one old row per currency is read. The latest *rate* would not do as a
/// start, nor would a fixed number of days: after a gap the latest rates may have given no return (the first after
/// the interruption), and the pair after them needs them. From the latest return on, everything later than it is
/// read again and judged anew, so it is right however many of those rates gave none. A currency that has no return
/// yet (new, or with one observation so far) is not in the map, and is read in full.
///
/// A window with a start, such as a first run from an `offset_start` or a backfill, needs the observation before
/// it too; one that lies more than `max_gap` before it would give no return anyway.
fn query(context: &Context, max_gap: TimeDelta) -> Result<Query, NodeError> {
    let window = context.window();
    let mut query = Query::new().columns(["rate"]).until(window.end);
    if let Some(start) = window.start {
        query = query.from(start - max_gap);
    }
    if context.is_backfill() {
        // The range is to be filled whatever the table holds after it.
        return Ok(query);
    }
    Ok(query.range_map(context.statistics().dimension_range_map_ge(&["currency"], None)?))
}

datanode_sdk::export!(FxLogReturns);
