//! Functions of numbers that SQLite has only where it was built with them, as they are on PostgreSQL: floats in, floats out.
//! What is no number, and what has no answer, is null.

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

/// A function of one number.
type OfOne = fn(f64) -> f64;
/// A function of two.
type OfTwo = fn(f64, f64) -> f64;

const OF_ONE: [(&str, OfOne); 10] = [
    ("ceil", f64::ceil),
    ("ceiling", f64::ceil),
    ("degrees", f64::to_degrees),
    ("exp", f64::exp),
    ("floor", f64::floor),
    ("ln", f64::ln),
    ("log10", f64::log10),
    ("radians", f64::to_radians),
    ("sqrt", f64::sqrt),
    ("trunc", f64::trunc),
];
const OF_TWO: [(&str, OfTwo); 2] = [("mod", |value, divisor| value % divisor), ("power", f64::powf)];

/// Give a connection the functions.
pub(super) fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags =
        FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_INNOCUOUS;
    for (name, function) in OF_ONE {
        connection.create_scalar_function(name, 1, flags, move |context| {
            Ok(number(context, 0).map(function).filter(|answer| answer.is_finite()))
        })?;
    }
    for (name, function) in OF_TWO {
        connection.create_scalar_function(name, 2, flags, move |context| {
            let both = number(context, 0).zip(number(context, 1));
            Ok(both.map(|(left, right)| function(left, right)).filter(|answer| answer.is_finite()))
        })?;
    }
    connection.create_scalar_function("pi", 0, flags, |_| Ok(std::f64::consts::PI))
}

/// An argument as a float. A decimal is a text here.
fn number(context: &Context<'_>, at: usize) -> Option<f64> {
    match context.get_raw(at) {
        // As every database turns an integer into a float.
        #[allow(clippy::cast_precision_loss)]
        ValueRef::Integer(value) => Some(value as f64),
        ValueRef::Real(value) => Some(value),
        ValueRef::Text(text) => std::str::from_utf8(text).ok()?.trim().parse().ok(),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}
