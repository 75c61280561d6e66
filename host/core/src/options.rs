//! Runtime options: what guests may ask for beside their config. Never hashed.

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use crate::diagnostic::{Diagnostic, ErrorClass};
use crate::name::{NameError, check_name};

/// The most bytes that the options of a run may have, as JSON: they are kept in its record.
pub const MAX_OPTIONS_BYTES: usize = 65_536;

/// Runtime options by name.
pub type Options = BTreeMap<String, Value>;

/// Why runtime options are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OptionsError {
    /// Neither a JSON object nor TOML; the text begins with a space or a line break.
    #[error("the runtime options cannot be read:{0}")]
    Syntax(String),
    /// `--option` without `=`.
    #[error("the runtime option `{0}` is not NAME=VALUE")]
    Pair(String),
    /// A bad name.
    #[error("runtime options: {0}")]
    Name(#[from] NameError),
    /// More than [`MAX_OPTIONS_BYTES`].
    #[error("the runtime options have {bytes} bytes where {MAX_OPTIONS_BYTES} are allowed")]
    TooLarge {
        /// Bytes of all together.
        bytes: usize,
    },
}

impl Diagnostic for OptionsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) | Self::Pair(_) => "options.syntax",
            Self::Name(_) => "options.name",
            Self::TooLarge { .. } => "options.too_large",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some(match self {
            Self::Syntax(_) => {
                "write a JSON object, as in {\"batch_size\": 500}, or TOML, as in batch_size = 500".to_owned()
            }
            Self::Pair(_) => "write it as in --option batch_size=500".to_owned(),
            Self::Name(_) => {
                "name options with lower-case letters, digits and `_`, as their component does".to_owned()
            }
            Self::TooLarge { .. } => {
                "pass only what the component asks for; data belong into a table or a source".to_owned()
            }
        })
    }
}

/// Read a document of options: a JSON object where it begins with `{`, else TOML. Dates and times of TOML become text.
pub fn parse(text: &str) -> Result<Options, OptionsError> {
    if text.len() > MAX_OPTIONS_BYTES {
        return Err(OptionsError::TooLarge { bytes: text.len() });
    }
    let options: Options = if text.trim_start().starts_with('{') {
        serde_json::from_str(text).map_err(|error| OptionsError::Syntax(format!(" {error}")))?
    } else {
        let table: toml::Table = toml::from_str(text)
            .map_err(|error| OptionsError::Syntax(format!("\n{}", error.to_string().trim_end())))?;
        table
            .into_iter()
            .map(|(name, value)| Ok((name, json(value)?)))
            .collect::<Result<_, OptionsError>>()?
    };
    check(options)
}

/// Add single options, written as `NAME=VALUE`: the value is JSON, or text when it is not. They override those of the
/// same name, and of two of one name the later counts.
pub fn with_single(mut options: Options, single: &[String]) -> Result<Options, OptionsError> {
    for text in single {
        let (name, value) =
            text.split_once('=').ok_or_else(|| OptionsError::Pair(text.chars().take(80).collect()))?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
        options.insert(name.to_owned(), value);
    }
    check(options)
}

fn check(options: Options) -> Result<Options, OptionsError> {
    for name in options.keys() {
        check_name("option name", name)?;
    }
    let bytes = serde_json::to_string(&options).map_or(0, |text| text.len());
    if bytes > MAX_OPTIONS_BYTES { Err(OptionsError::TooLarge { bytes }) } else { Ok(options) }
}

fn json(value: toml::Value) -> Result<Value, OptionsError> {
    Ok(match value {
        toml::Value::String(text) => Value::from(text),
        toml::Value::Integer(number) => Value::from(number),
        // JSON has no infinity and no NaN.
        toml::Value::Float(number) if !number.is_finite() => {
            return Err(OptionsError::Syntax(format!(" {number} is no number of JSON")));
        }
        toml::Value::Float(number) => Value::from(number),
        toml::Value::Boolean(truth) => Value::from(truth),
        toml::Value::Datetime(time) => Value::from(time.to_string()),
        toml::Value::Array(values) => Value::Array(values.into_iter().map(json).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => Value::Object(
            table
                .into_iter()
                .map(|(name, value)| Ok((name, json(value)?)))
                .collect::<Result<_, OptionsError>>()?,
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn json_and_toml_say_the_same() {
        let from_json =
            parse(r#" {"batch_size": 500, "hosts": ["a", "b"], "retry": {"wait_s": 1.5, "on": true}}"#)
                .unwrap();
        let from_toml =
            parse("batch_size = 500\nhosts = [\"a\", \"b\"]\n[retry]\nwait_s = 1.5\non = true\n").unwrap();
        assert_eq!(from_json, from_toml);
        assert_eq!(parse("day = 2020-01-02").unwrap()["day"], json!("2020-01-02"));
        assert_eq!(parse("").unwrap(), Options::new());
    }

    #[test]
    fn single_options_override() {
        let file = parse("factor = 2\nmode = \"fast\"").unwrap();
        let single = ["factor=3", "text=a=b", "factor=4"].map(str::to_owned);
        let options = with_single(file, &single).unwrap();
        assert_eq!(json!(options), json!({"factor": 4, "mode": "fast", "text": "a=b"}));
    }

    #[test]
    fn what_is_refused_says_why_and_what_to_do() {
        let large = format!("text = \"{}\"", "x".repeat(MAX_OPTIONS_BYTES));
        let mut said = String::new();
        for text in ["{\"a\": }", "[1, 2]", "a = ", "Batch-Size = 1", "a = inf", &large] {
            let error = parse(text).unwrap_err();
            said += &format!("[{}] {error}\nnext: {}\n\n", error.code(), error.next_step().unwrap());
        }
        for single in ["a", "A=1"] {
            let error = with_single(Options::new(), &[single.to_owned()]).unwrap_err();
            said += &format!("[{}] {error}\nnext: {}\n\n", error.code(), error.next_step().unwrap());
        }
        insta::assert_snapshot!(said);
    }

    #[test]
    fn single_options_count_towards_the_bound() {
        let half = "x".repeat(MAX_OPTIONS_BYTES / 2);
        let options = parse(&format!("a = \"{half}\"")).unwrap();
        let error = with_single(options, &[format!("b={half}")]).unwrap_err();
        assert_eq!(error.code(), "options.too_large");
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "\\PC{0,80}") {
            let _ = parse(&text);
            let _ = with_single(Options::new(), &[text]);
        }
    }
}
