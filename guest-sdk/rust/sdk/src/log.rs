//! Structured log lines. They may be written in every phase; those of `update` are kept with the run.
//!
//! ```
//! use datanode_sdk::info;
//! info!("rates read", rows = 41, file = "rates.csv");
//! ```

use std::fmt;

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever works on the node.
    Debug,
    /// A fact of a healthy run.
    Info,
    /// Something to look at.
    Warn,
    /// Something failed.
    Error,
}

/// Write a line. The macros [`debug!`](crate::debug), [`info!`](crate::info), [`warn!`](crate::warn) and
/// [`error!`](crate::error) are shorter.
pub fn write(level: Level, message: &str, fields: &[(&str, &dyn fmt::Display)]) {
    let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
    #[cfg(target_arch = "wasm32")]
    crate::export::write_log(level, message, fields);
    #[cfg(not(target_arch = "wasm32"))]
    crate::testing::record_log(level, message, fields);
}

/// Write a line of level debug: a message, then `name = value` fields.
#[macro_export]
macro_rules! debug {
    ($($line:tt)+) => { $crate::__log!(Debug, $($line)+) };
}

/// Write a line of level info: a message, then `name = value` fields.
#[macro_export]
macro_rules! info {
    ($($line:tt)+) => { $crate::__log!(Info, $($line)+) };
}

/// Write a line of level warn: a message, then `name = value` fields.
#[macro_export]
macro_rules! warn {
    ($($line:tt)+) => { $crate::__log!(Warn, $($line)+) };
}

/// Write a line of level error: a message, then `name = value` fields.
#[macro_export]
macro_rules! error {
    ($($line:tt)+) => { $crate::__log!(Error, $($line)+) };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __log {
    ($level:ident, $message:expr $(, $name:ident = $value:expr)* $(,)?) => {
        $crate::log::write(
            $crate::log::Level::$level,
            ::core::convert::AsRef::<str>::as_ref(&$message),
            &[$((::core::stringify!($name), &$value as &dyn ::core::fmt::Display)),*],
        )
    };
}
