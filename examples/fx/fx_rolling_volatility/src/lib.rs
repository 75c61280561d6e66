//! Component `fx_rolling_volatility`: how much the euro reference rates moved of late, per currency.
//!
//! A volatility belongs to the last of `n` successive returns of one currency: their sample standard deviation, times
//! the square root of the trading days of a year. A window counts returns, not days: it reaches across weekends,
//! holidays and interruptions alike.
//!
//! A run reads the returns that have no volatility yet, and the `n - 1` before them. Each value is computed from the
//! values of its own window, in their order and by nothing that a run carries along, so that any division of time
//! into runs gives the same bits.

mod latest;
mod lookback;

use datanode_sdk::chrono::TimeDelta;
use datanode_sdk::prelude::*;

use latest::Latest;
use lookback::Lookback;

/// Key of the one dependency.
const RETURNS: &str = "returns";

/// The convention for the trading days of a year.
const TRADING_DAYS: f64 = 252.0;

/// What one node of this component computes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Number of returns in a window. A currency has its first volatility at its n-th return.
    #[serde(default = "default_n")]
    #[schemars(example = 20, range(min = 2))]
    pub n: u32,
    /// Table of the daily log returns, as written by `fx_log_returns`.
    #[serde(default = "default_returns_table")]
    #[schemars(example = &"fx_log_returns")]
    pub returns_table: TableRef,
    /// Table of the daily rates that the returns are computed from, as written by `ecb_daily_fx_rates`.
    #[serde(default = "default_rates_table")]
    #[schemars(example = &"fx_ecb_daily_rates")]
    pub rates_table: TableRef,
}

fn default_n() -> u32 {
    20
}

fn default_returns_table() -> TableRef {
    TableRef::new("fx_log_returns")
}

fn default_rates_table() -> TableRef {
    TableRef::new("fx_ecb_daily_rates")
}

/// The node.
pub struct FxRollingVolatility;

impl DataNode for FxRollingVolatility {
    type Config = Config;
    const NAME: &str = "fx_rolling_volatility";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "Rolling volatility of currencies against the euro: the annualised sample standard \
        deviation of the last n daily log returns, 20 unless configured otherwise.";

    fn output() -> Output {
        Output::new(["time_index", "currency"])
            .column("time_index", DataType::TimestampTz, "Day of the last return of the window, at midnight UTC.")
            .column("currency", DataType::String, "ISO 4217 code of the currency quoted against the euro.")
            .column(
                "volatility",
                DataType::Float64,
                "Sample standard deviation of the window's log returns × √252: a fraction per year (0.08 is 8 %).",
            )
    }

    fn dependencies(config: &Config) -> Result<Vec<Dependency>, NodeError> {
        let returns = json!({ "rates_table": config.rates_table });
        Ok(vec![Dependency::node(RETURNS, "fx_log_returns", returns, &config.returns_table)])
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        let length = config.n as usize;
        let mut identities = Identities::new(["currency"]);
        // Of each of them the latest returns.
        let mut windows = Vec::<Latest>::new();
        let (mut read, mut looked_back, mut emitted) = (0, 0, 0);

        for batch in context.read(RETURNS, new_returns(context)?)? {
            let batch = batch?;
            read += batch.num_rows();
            let (times, currencies, returns) =
                (batch.timestamps("time_index")?, batch.strings("currency")?, batch.floats("log_return")?);

            // Only a currency that has new returns needs old ones.
            let numbers = identities.number(&batch)?;
            let mut lookback = Lookback::new(length - 1);
            for (number, coordinate) in identities.coordinates().iter().enumerate().skip(windows.len()) {
                windows.push(Latest::new(length));
                // Without a start all of its returns are new; it may have some already, too few for a volatility.
                if let Some(begin) = context.missing(coordinate).start {
                    lookback.want(number, coordinate, begin);
                }
            }
            looked_back += lookback.read(context, &mut identities, &mut windows)?;

            let mut volatilities = Vec::new();
            for row in (0..batch.num_rows()).filter(|row| returns.is_valid(*row)) {
                let window = &mut windows[numbers[row]];
                window.push(returns.value(row));
                if window.values().len() == length {
                    let volatility = volatility(window.values(), config.n);
                    volatilities.push((times.at(row), currencies.value(row), volatility));
                }
            }
            emitted += volatilities.len();
            let frame = FrameBuilder::new()
                .timestamps("time_index", volatilities.iter().map(|(time, ..)| *time))
                .strings("currency", volatilities.iter().map(|(_, currency, _)| currency))
                .floats("volatility", volatilities.iter().map(|(.., volatility)| *volatility))
                .build()?;
            context.emit(&frame)?;
        }
        info!(
            "volatilities to store",
            identities = identities.len(),
            rows = emitted,
            returns_read = read,
            looked_back = looked_back,
            window = context.window(),
        );
        Ok(())
    }
}

/// The annualised sample standard deviation of a full window. In two passes over its values, oldest first: a sum that
/// is carried from window to window would be rounded differently in each division of time into runs.
fn volatility(window: &[f64], n: u32) -> f64 {
    let n = f64::from(n);
    let mean = sum(window, |value| value) / n;
    let squares = sum(window, |value| (value - mean) * (value - mean));
    (squares / (n - 1.0)).sqrt() * TRADING_DAYS.sqrt()
}

/// The sum of a term of each value, in their order. Four values a turn: each turn of a loop is counted as fuel, which takes as
/// long as to add a number.
fn sum(values: &[f64], term: impl Fn(f64) -> f64) -> f64 {
    let (fours, rest) = values.as_chunks::<4>();
    let mut sum = 0.0;
    for [first, second, third, fourth] in fours {
        sum = sum + term(*first) + term(*second) + term(*third) + term(*fourth);
    }
    rest.iter().fold(sum, |sum, value| sum + term(*value))
}

/// The returns that have no volatility yet: per currency, those after its latest volatility.
fn new_returns(context: &Context) -> Result<Query, NodeError> {
    let window = context.window();
    let mut query = Query::new().columns(["log_return"]).until(window.end);
    if let Some(start) = window.start {
        query = query.from(start);
    }
    if context.is_backfill() {
        return Ok(query);
    }
    let stored =
        context.statistics().dimension_range_map_ge(&["currency"], Some(TimeDelta::microseconds(1)))?;
    Ok(query.range_map(stored))
}

datanode_sdk::export!(FxRollingVolatility);
