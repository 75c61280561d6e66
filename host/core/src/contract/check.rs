//! The rules of one contract, each with the place that breaks it.

use super::place::Step;
use super::{Contract, MAX_COLUMNS, TIME_INDEX, TableKind, field_id, foreign_key};
use crate::data_type::DataType;
use crate::name::{self, NameError};
use crate::quality::{self, MAX_CHECKS};

/// A broken rule and where in the document it is broken.
#[derive(Debug)]
pub(super) struct Fault {
    /// The way to the value.
    pub(super) path: Vec<Step>,
    /// What is wrong with it.
    pub(super) problem: String,
    /// Whether it is a name that is wrong.
    pub(super) is_name: bool,
}

pub(super) fn fault(path: Vec<Step>, problem: impl Into<String>) -> Fault {
    Fault { path, problem: problem.into(), is_name: false }
}

fn bad_name(path: Vec<Step>) -> impl FnOnce(NameError) -> Fault {
    move |error| Fault { path, problem: error.to_string(), is_name: true }
}

impl Contract {
    pub(super) fn check(&self) -> Result<(), Fault> {
        let field = |name| vec![Step::Field(name)];
        name::check_name("identifier", &self.identifier).map_err(bad_name(field("identifier")))?;
        name::check_name("physical name", self.physical_name()).map_err(bad_name(field("physical_name")))?;
        if let Some(namespace) = &self.namespace {
            name::check_namespace("namespace", namespace).map_err(bad_name(field("namespace")))?;
        }
        self.check_columns()?;
        field_id::check(self)?;
        match self.kind {
            TableKind::TimeIndexed => self.check_index()?,
            TableKind::Reference => self.check_primary_key()?,
        }
        self.foreign_keys
            .iter()
            .enumerate()
            .try_for_each(|(position, key)| foreign_key::check(self, position, key))?;
        self.check_checks()
    }

    fn check_checks(&self) -> Result<(), Fault> {
        if self.checks.len() > MAX_CHECKS {
            let problem = format!("{} checks where {MAX_CHECKS} are allowed", self.checks.len());
            return Err(fault(vec![Step::Field("checks")], problem));
        }
        for (position, check) in self.checks.iter().enumerate() {
            let at = |field| vec![Step::Field("checks"), Step::Item(position), Step::Field(field)];
            name::check_name("name of a check", &check.name).map_err(bad_name(at("name")))?;
            if self.checks[..position].iter().any(|earlier| earlier.name == check.name) {
                return Err(fault(at("name"), format!("check `{}` is declared twice", check.name)));
            }
            quality::fits(check, self)
                .map_err(|(field, problem)| fault(at(field), format!("check `{}`: {problem}", check.name)))?;
        }
        Ok(())
    }

    fn check_columns(&self) -> Result<(), Fault> {
        if self.columns.len() > MAX_COLUMNS {
            let problem = format!("{} columns where {MAX_COLUMNS} are allowed", self.columns.len());
            return Err(fault(vec![Step::Field("columns")], problem));
        }
        for (position, column) in self.columns.iter().enumerate() {
            let at = || vec![Step::Field("columns"), Step::Item(position), Step::Field("name")];
            name::check_name("column name", &column.name).map_err(bad_name(at()))?;
            if self.columns[..position].iter().any(|earlier| earlier.name == column.name) {
                return Err(fault(at(), format!("column `{}` is declared twice", column.name)));
            }
        }
        Ok(())
    }

    fn check_index(&self) -> Result<(), Fault> {
        if !self.primary_key.is_empty() {
            return Err(fault(
                vec![Step::Field("primary_key")],
                "a time-indexed table has an `index`; `primary_key` is for kind = \"reference\"",
            ));
        }
        if self.index.first().map(String::as_str) != Some(TIME_INDEX) {
            return Err(fault(
                vec![Step::Field("index"), Step::Item(0)],
                format!("the index must begin with `{TIME_INDEX}`"),
            ));
        }
        self.check_key("index", &self.index)?;
        if let Some(column) = self.column(TIME_INDEX)
            && column.data_type != DataType::TimestampTz
        {
            return Err(fault(
                self.type_of(TIME_INDEX),
                format!("`{TIME_INDEX}` must have the type timestamp_tz, not {}", column.data_type),
            ));
        }
        Ok(())
    }

    fn check_primary_key(&self) -> Result<(), Fault> {
        if !self.index.is_empty() {
            return Err(fault(
                vec![Step::Field("index")],
                "a reference table has a `primary_key`; `index` is for kind = \"time_indexed\"",
            ));
        }
        if self.cadence.is_some() {
            return Err(fault(vec![Step::Field("cadence")], "a reference table has no cadence"));
        }
        if self.primary_key.is_empty() {
            return Err(fault(vec![Step::Field("kind")], "a reference table needs a `primary_key`"));
        }
        self.check_key("primary_key", &self.primary_key)
    }

    /// What every column of a key must be.
    fn check_key(&self, field: &'static str, key: &[String]) -> Result<(), Fault> {
        let (what, part) = match self.kind {
            TableKind::TimeIndexed => ("index column", "identity dimension"),
            TableKind::Reference => ("primary key column", "primary key column"),
        };
        for (position, name) in key.iter().enumerate() {
            let at = || vec![Step::Field(field), Step::Item(position)];
            let Some(column) = self.column(name) else {
                return Err(fault(at(), format!("{what} `{name}` is not among the columns")));
            };
            if key[..position].contains(name) {
                return Err(fault(at(), format!("{what} `{name}` is listed twice")));
            }
            if column.nullable {
                return Err(fault(at(), format!("{what} `{name}` cannot be nullable")));
            }
            if name != TIME_INDEX && !column.data_type.can_be_dimension() {
                return Err(fault(
                    self.type_of(name),
                    format!(
                        "{part} `{name}` cannot have the type {}; use string, an integer, bool, date, timestamp_tz \
                         or uuid",
                        column.data_type
                    ),
                ));
            }
        }
        Ok(())
    }

    fn type_of(&self, name: &str) -> Vec<Step> {
        let position = self.columns.iter().position(|column| column.name == name).unwrap_or_default();
        vec![Step::Field("columns"), Step::Item(position), Step::Field("type")]
    }
}
