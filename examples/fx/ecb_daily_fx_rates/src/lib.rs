//! Component `ecb_daily_fx_rates`: the euro foreign exchange reference rates of the European Central Bank.
//!
//! The bank publishes one zip with all days since 1999. The component reads it through its source `ecb`, and emits a
//! row per day and currency that its table does not hold yet. The zip has no smaller part to ask for, so what is
//! incremental is the output, per currency: a currency that joins later gets its whole history.

mod file;

use datanode_sdk::prelude::*;

pub use file::{Rate, parse, unzip};

/// The declared source.
const SOURCE: &str = "ecb";

/// What one node of this component reads.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(crate = "datanode_sdk::serde", deny_unknown_fields)]
pub struct Config {
    /// Path of the historical zip within the source.
    #[serde(default = "default_file")]
    #[schemars(example = &"eurofxref-hist.zip")]
    pub file: String,
}

fn default_file() -> String {
    "eurofxref-hist.zip".to_owned()
}

/// The node.
pub struct EcbDailyFxRates;

impl DataNode for EcbDailyFxRates {
    type Config = Config;
    const NAME: &str = "ecb_daily_fx_rates";
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &str = "Euro foreign exchange reference rates published by the European Central Bank on each \
        TARGET working day around 16:00 CET: units of a currency per one euro, since 1999.";

    fn sources() -> Vec<Source> {
        vec![Source::required(
            SOURCE,
            "Folder or site that holds the ECB's eurofxref-hist.zip, as published at https://www.ecb.europa.eu/stats/eurofxref/",
        )]
    }

    fn output() -> Output {
        Output::new(["time_index", "currency"])
            .column("time_index", DataType::TimestampTz, "Day of the reference rate, at midnight UTC.")
            .column("currency", DataType::String, "ISO 4217 code of the currency quoted against the euro.")
            .column("rate", DataType::Float64, "Units of the currency per one euro.")
    }

    fn update(config: &Config, context: &mut Context) -> Result<(), NodeError> {
        let zip = context.fetch(Request::get(SOURCE, &config.file))?.ok()?.bytes()?;
        let file = unzip(&config.file, zip)?;
        let mut rates = parse(&file)?;
        let currencies = file.currencies.len();

        // The same few coordinates for all rows: one per currency, made once.
        let coordinates: Vec<Coordinate> =
            file.currencies.iter().map(|code| vec![code.as_str().into()]).collect();
        rates.retain(|rate| context.is_missing(rate.time, &coordinates[rate.currency]));
        let places = places(&file.currencies);
        rates.sort_by_key(|rate| (rate.time, places[rate.currency]));

        info!("rates to store", identities = currencies, rows = rates.len(), window = context.window());
        let frame = FrameBuilder::new()
            .timestamps("time_index", rates.iter().map(|rate| rate.time))
            .strings("currency", rates.iter().map(|rate| &file.currencies[rate.currency]))
            .floats("rate", rates.iter().map(|rate| rate.rate))
            .build()?;
        context.emit(&frame)
    }
}

/// Of each currency its place in the order of all: numbers are compared sooner than texts, and there are many rows.
fn places(currencies: &[String]) -> Vec<usize> {
    let mut in_order: Vec<usize> = (0..currencies.len()).collect();
    in_order.sort_by_key(|currency| &currencies[*currency]);
    let mut places = vec![0; currencies.len()];
    for (place, currency) in in_order.into_iter().enumerate() {
        places[currency] = place;
    }
    places
}

datanode_sdk::export!(EcbDailyFxRates);
