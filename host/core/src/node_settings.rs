//! Settings of a node: how its runs are made. Never hashed, for they change no value that it computes.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cadence::Cadence;
use crate::diagnostic::{Diagnostic, ErrorClass};

/// The most retries that a node may be given.
pub const MAX_RETRIES: u32 = 100;

/// How the runs of one node are made, where it is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSettings {
    /// How far before the latest row of each coordinate a run looks for rows that come late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookback: Option<Cadence>,
    /// How often a run whose commit was refused, since others had written its table meanwhile, is made again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// What becomes of rows that are there when a run looks for late ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_rows: Option<LateRows>,
}

/// What becomes of rows that are there when a run computes them again, within its lookback.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LateRows {
    /// They stay as they are, as without the setting.
    Keep,
    /// They take the values that are computed now, where these differ.
    Overwrite,
}

impl LateRows {
    /// The name used in JSON and in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Overwrite => "overwrite",
        }
    }
}

/// One setting that changes. None: as if it had never been set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingChange {
    /// [`NodeSettings::lookback`].
    Lookback(Option<Cadence>),
    /// [`NodeSettings::retries`].
    Retries(Option<u32>),
    /// [`NodeSettings::late_rows`].
    LateRows(Option<LateRows>),
}

/// Why a setting is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingError {
    /// Not of the form `name=value`.
    #[error("`{0}` is not a setting: write NAME=VALUE")]
    Syntax(String),
    /// There is no such setting.
    #[error("nodes have no setting `{0}`")]
    Unknown(String),
    /// The setting cannot have this value.
    #[error("`{name}` cannot be `{value}`: {problem}")]
    Value {
        /// The setting.
        name: &'static str,
        /// The value, cut to 40 characters.
        value: String,
        /// What it must be.
        problem: String,
    },
}

impl Diagnostic for SettingError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "node.setting_syntax",
            Self::Unknown(_) => "node.setting_unknown",
            Self::Value { .. } => "node.setting_value",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::Usage
    }

    fn next_step(&self) -> Option<String> {
        Some(
            "set lookback=7d, late_rows=overwrite or retries=3; a name without a value, as in `lookback=`, takes the setting back"
                .to_owned(),
        )
    }
}

impl SettingChange {
    /// From `name=value`; no value takes the setting back.
    pub fn parse(text: &str) -> Result<Self, SettingError> {
        let shown = |text: &str| text.chars().take(40).collect::<String>();
        let (name, value) = text.split_once('=').ok_or_else(|| SettingError::Syntax(shown(text)))?;
        let wrong = |name, problem: &str| SettingError::Value {
            name,
            value: shown(value),
            problem: problem.to_owned(),
        };
        let value = Some(value).filter(|value| !value.is_empty());
        match name {
            "lookback" => {
                let parsed = value.map(str::parse::<Cadence>).transpose();
                let problem = "write a count of 1 to 100000 and one of s, m, h, d, w, mo, q, y, such as 7d";
                parsed.map(Self::Lookback).map_err(|_| wrong("lookback", problem))
            }
            "retries" => {
                let parsed = value.map(str::parse::<u32>).transpose().ok();
                let parsed = parsed.filter(|retries| retries.is_none_or(|retries| retries <= MAX_RETRIES));
                let problem = format!("write a count of 0 to {MAX_RETRIES}");
                parsed.map(Self::Retries).ok_or_else(|| wrong("retries", &problem))
            }
            "late_rows" => match value {
                None => Ok(Self::LateRows(None)),
                Some("keep") => Ok(Self::LateRows(Some(LateRows::Keep))),
                Some("overwrite") => Ok(Self::LateRows(Some(LateRows::Overwrite))),
                Some(_) => Err(wrong("late_rows", "write keep or overwrite")),
            },
            _ => Err(SettingError::Unknown(shown(name))),
        }
    }
}

impl NodeSettings {
    /// The same with one setting changed.
    #[must_use]
    pub fn with(self, change: SettingChange) -> Self {
        match change {
            SettingChange::Lookback(lookback) => Self { lookback, ..self },
            SettingChange::Retries(retries) => Self { retries, ..self },
            SettingChange::LateRows(late_rows) => Self { late_rows, ..self },
        }
    }

    /// Whether runs overwrite rows that are there when they look for late ones: only where they do look.
    pub fn overwrites_late_rows(self) -> bool {
        self.lookback.is_some() && self.late_rows == Some(LateRows::Overwrite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_come_and_go() {
        let set = |settings: NodeSettings, text| settings.with(SettingChange::parse(text).unwrap());
        let both = set(set(NodeSettings::default(), "lookback=7d"), "retries=0");
        assert_eq!(
            both,
            NodeSettings { lookback: Some("7d".parse().unwrap()), retries: Some(0), late_rows: None }
        );
        assert_eq!(serde_json::to_string(&both).unwrap(), r#"{"lookback":"7d","retries":0}"#);
        let late = set(both, "late_rows=overwrite");
        assert!(late.overwrites_late_rows() && !set(late, "lookback=").overwrites_late_rows());
        assert!(!both.overwrites_late_rows() && !set(late, "late_rows=keep").overwrites_late_rows());
        assert_eq!(
            serde_json::from_str::<NodeSettings>(&serde_json::to_string(&late).unwrap()).unwrap(),
            late
        );
        assert_eq!(set(late, "late_rows="), both);
        let none = set(set(both, "lookback="), "retries=");
        assert_eq!((none, serde_json::to_string(&none).unwrap().as_str()), (NodeSettings::default(), "{}"));
        assert_eq!(serde_json::from_str::<NodeSettings>("{}").unwrap(), none);
    }

    #[test]
    fn what_is_no_setting_is_named() {
        let mut said = String::new();
        for text in
            ["lookback", "colour=red", "lookback=soon", "retries=-1", "retries=101", "=7d", "late_rows=drop"]
        {
            let error = SettingChange::parse(text).unwrap_err();
            said += &format!("{text}: [{}] {error}\n", error.code());
        }
        insta::assert_snapshot!(said);
    }
}
