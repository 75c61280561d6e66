//! Expressions: operators, functions and types of a list, and the places where SQLite needs another word.

use sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DataType as SqlType, DateTimeField, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, TypedString,
    UnaryOperator, Value, WindowFrame, WindowFrameBound, WindowSpec, WindowType,
};

use super::check::{Walk, column_without_schema, folded};
use super::revision::{REVISION_FUNCTIONS, is_c};
use super::sought::SEEKING;
use super::{FUNCTIONS, SqlDialect, SqlError, collation};
use crate::data_type::DataType;

/// Words that databases read as calls when no column has their name: who is asking, and when.
const NO_COLUMNS: [&str; 14] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "rowid",
    "oid",
    "session_user",
    "system_user",
    "user",
];

impl Walk<'_> {
    pub(super) fn expression(&mut self, expression: &mut Expr) -> Result<(), SqlError> {
        self.deeper(|walk| walk.one(expression))
    }

    fn expressions(&mut self, expressions: &mut [Expr]) -> Result<(), SqlError> {
        expressions.iter_mut().try_for_each(|expression| self.expression(expression))
    }

    fn one(&mut self, expression: &mut Expr) -> Result<(), SqlError> {
        match expression {
            Expr::Identifier(name) => return identifier(name),
            Expr::CompoundIdentifier(names) => return column_without_schema(names),
            Expr::Value(value) => {
                literal(&value.value)?;
                self.postgres_literal(expression);
            }
            Expr::TypedString(typed) => {
                let TypedString { data_type, value, uses_odbc_syntax: false } = typed else {
                    return Err(SqlError::forbidden("a literal of this form is not understood"));
                };
                literal(&value.value)?;
                if !is_moment(data_type) && *data_type != SqlType::Date {
                    return Err(SqlError::forbidden(format!(
                        "a literal of type {data_type} is not understood"
                    )));
                }
                if self.dialect == SqlDialect::Sqlite {
                    *expression = Expr::Value(value.clone());
                }
            }
            Expr::Nested(inner) | Expr::IsNull(inner) | Expr::IsNotNull(inner) => {
                return self.expression(inner);
            }
            Expr::IsTrue(inner) | Expr::IsNotTrue(inner) | Expr::IsFalse(inner) | Expr::IsNotFalse(inner) => {
                return self.condition(inner);
            }
            Expr::IsDistinctFrom(left, right) | Expr::IsNotDistinctFrom(left, right) => {
                self.expression(left)?;
                return self.expression(right);
            }
            Expr::InList { expr, list, .. } => {
                self.expression(expr)?;
                return self.expressions(list);
            }
            Expr::InSubquery { expr, subquery, .. } => {
                self.expression(expr)?;
                return self.query(subquery);
            }
            Expr::Exists { subquery, .. } | Expr::Subquery(subquery) => return self.query(subquery),
            Expr::Between { expr, low, high, .. } => {
                self.expression(expr)?;
                self.expression(low)?;
                return self.expression(high);
            }
            Expr::Like { any: false, expr, pattern, escape_char, .. } => {
                self.expression(expr)?;
                self.expression(pattern)?;
                self.postgres_text(expr);
                self.sought(pattern);
                return escape_char.iter_mut().try_for_each(|escape| self.expression(escape));
            }
            Expr::ILike { .. } => {
                return Err(SqlError::forbidden("ILIKE is not understood: write lower(a) LIKE lower(b)"));
            }
            Expr::BinaryOp { left, op, right } => {
                self.binary(left, op, right)?;
                self.postgres_operator(expression);
            }
            Expr::UnaryOp { op: UnaryOperator::Not, expr } => return self.condition(expr),
            Expr::Cast { kind: CastKind::Cast | CastKind::DoubleColon, expr, data_type, format: None } => {
                self.expression(expr)?;
                *expression = self.cast(expr, data_type)?;
            }
            Expr::UnaryOp { op: UnaryOperator::Plus | UnaryOperator::Minus, expr }
            | Expr::Ceil { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) }
            | Expr::Floor { expr, field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime) } => {
                self.expression(expr)?;
                self.postgres_operand(expr);
            }
            Expr::Substring { expr, substring_from: Some(from), substring_for, special, .. } => {
                // With commas, as every database reads it.
                *special = true;
                self.expression(expr)?;
                self.expression(from)?;
                substring_for.iter_mut().try_for_each(|length| self.expression(length))?;
                self.postgres_substring(expr, from, substring_for.as_deref_mut());
            }
            Expr::Trim { trim_where: None, trim_what: None, expr, trim_characters } => {
                self.expression(expr)?;
                self.postgres_text(expr);
                return trim_characters.iter_mut().flatten().try_for_each(|characters| {
                    self.expression(characters)?;
                    self.sought(characters);
                    Ok(())
                });
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let searched = operand.is_none();
                operand.iter_mut().try_for_each(|operand| self.expression(operand))?;
                for case in conditions {
                    self.expression(&mut case.condition)?;
                    if searched {
                        self.as_condition(&mut case.condition);
                    }
                    self.expression(&mut case.result)?;
                }
                return else_result.iter_mut().try_for_each(|result| self.expression(result));
            }
            Expr::Tuple(expressions) => return self.expressions(expressions),
            Expr::Function(function) => {
                self.function(function)?;
                if let Some(collation) = self.collation_of(function) {
                    *expression = collated(Expr::Function(function.clone()), collation);
                }
                self.postgres_call(expression);
            }
            // A text sorts by its bytes in every table; another order would be that of one server.
            Expr::Collate { expr, collation } if self.revision.is_some() && is_c(collation) => {
                return self.expression(expr);
            }
            Expr::AtTimeZone { timestamp, time_zone } if self.revision.is_some() => {
                self.expression(timestamp)?;
                return self.expression(time_zone);
            }
            Expr::Collate { .. } => return Err(SqlError::forbidden("COLLATE is not understood")),
            Expr::Interval(_) | Expr::AtTimeZone { .. } | Expr::Extract { .. } => {
                return Err(SqlError::forbidden(
                    "times are compared and cut with date_trunc('month', time); no other arithmetic is understood",
                ));
            }
            _ => return Err(SqlError::forbidden("the statement has an expression that is not understood")),
        }
        Ok(())
    }

    fn binary(&mut self, left: &mut Expr, op: &BinaryOperator, right: &mut Expr) -> Result<(), SqlError> {
        use BinaryOperator as B;
        match op {
            B::And | B::Or => {
                self.condition(left)?;
                self.condition(right)
            }
            B::Plus
            | B::Minus
            | B::Multiply
            | B::Divide
            | B::Modulo
            | B::StringConcat
            | B::Gt
            | B::Lt
            | B::GtEq
            | B::LtEq
            | B::Eq
            | B::NotEq
            | B::Arrow
            | B::LongArrow => {
                self.expression(left)?;
                self.expression(right)
            }
            _ => Err(SqlError::forbidden(format!("the operator {op} is not understood"))),
        }
    }

    /// A column of booleans where a condition stands. SQLite has its text, which is no condition.
    pub(super) fn as_condition(&self, expression: &mut Expr) {
        if self.dialect != SqlDialect::Sqlite {
            return;
        }
        let inner = match expression {
            Expr::Nested(inner) => return self.as_condition(inner),
            other => other,
        };
        let name = match inner {
            Expr::Identifier(name) => Some(&*name),
            Expr::CompoundIdentifier(names) => names.last(),
            _ => None,
        };
        if name.and_then(|name| self.type_of(name)) != Some(DataType::Bool) {
            return;
        }
        let text = |text: &str| Expr::value(Value::SingleQuotedString(text.to_owned()));
        let column = std::mem::replace(inner, text(""));
        let list = vec![text("true"), Expr::value(Value::Number("1".to_owned(), false))];
        let is_true = Expr::InList { expr: Box::new(column), list, negated: false };
        *inner = Expr::Nested(Box::new(is_true));
    }

    fn cast(&self, inner: &Expr, data_type: &SqlType) -> Result<Expr, SqlError> {
        let cast = |data_type: SqlType| Expr::Cast {
            kind: CastKind::Cast,
            expr: Box::new(inner.clone()),
            data_type,
            format: None,
        };
        let sqlite = self.dialect == SqlDialect::Sqlite;
        if let Some(cast) = self.postgres_cast(inner, data_type) {
            return Ok(cast);
        }
        Ok(match data_type {
            SqlType::SmallInt(None)
            | SqlType::Int(None)
            | SqlType::Integer(None)
            | SqlType::BigInt(None)
            | SqlType::Int2(None)
            | SqlType::Int4(None)
            | SqlType::Int8(None)
            | SqlType::Real
            | SqlType::Float4
            | SqlType::Float8
            | SqlType::DoublePrecision
            | SqlType::Numeric(_)
            | SqlType::Decimal(_)
                if !sqlite =>
            {
                cast(data_type.clone())
            }
            SqlType::Text | SqlType::Varchar(_) | SqlType::CharacterVarying(_) => cast(SqlType::Text),
            SqlType::SmallInt(None)
            | SqlType::Int(None)
            | SqlType::Integer(None)
            | SqlType::BigInt(None)
            | SqlType::Int2(None)
            | SqlType::Int4(None)
            | SqlType::Int8(None) => cast(SqlType::Integer(None)),
            SqlType::Real
            | SqlType::Float4
            | SqlType::Float8
            | SqlType::DoublePrecision
            | SqlType::Numeric(_)
            | SqlType::Decimal(_) => cast(SqlType::Real),
            SqlType::Bool | SqlType::Boolean | SqlType::Date if !sqlite => cast(data_type.clone()),
            SqlType::Bool | SqlType::Boolean => collated(cast(SqlType::Text), collation::BOOL),
            SqlType::Date => call("substr", vec![cast(SqlType::Text), number(1), number(10)]),
            other if is_moment(other) && sqlite => collated(cast(SqlType::Text), collation::TIME),
            other if is_moment(other) => cast(other.clone()),
            SqlType::Bytea | SqlType::Uuid | SqlType::JSON if self.revision.is_some() => {
                cast(data_type.clone())
            }
            other => return Err(SqlError::forbidden(format!("a cast to {other} is not understood"))),
        })
    }

    /// How SQLite is to compare what a function answers, which has forgotten the collation of the column that it is of.
    fn collation_of(&self, function: &Function) -> Option<&'static str> {
        const SAME: [&str; 9] =
            ["coalesce", "first_value", "lag", "last_value", "lead", "max", "min", "nth_value", "nullif"];
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return None };
        let called = folded(name);
        if self.dialect != SqlDialect::Sqlite {
            return None;
        }
        if called == "date_trunc" {
            return Some(collation::TIME);
        }
        let FunctionArguments::List(FunctionArgumentList { args, .. }) = &function.args else { return None };
        let column = match args.first()? {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name))) => name,
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(names))) => names.last()?,
            _ => return None,
        };
        match self.type_of(column).filter(|_| SAME.contains(&called.as_str()))? {
            DataType::TimestampTz => Some(collation::TIME),
            DataType::Decimal { .. } => Some(collation::DECIMAL),
            DataType::Bool => Some(collation::BOOL),
            _ => None,
        }
    }

    fn function(&mut self, function: &mut Function) -> Result<(), SqlError> {
        let Function { name, uses_odbc_syntax, parameters, args, within_group, filter, null_treatment, over } =
            function;
        let [ObjectNamePart::Identifier(word)] = name.0.as_slice() else {
            return Err(SqlError::forbidden(format!(
                "the function {name} is not allowed: call functions without a schema"
            )));
        };
        let called = folded(word);
        let further: &[&str] = if self.revision.is_some() { &REVISION_FUNCTIONS } else { &[] };
        if !FUNCTIONS.iter().chain(further).any(|allowed| *allowed == called) {
            let allowed: Vec<&str> = FUNCTIONS.iter().chain(further).copied().collect();
            return Err(SqlError::forbidden(format!(
                "the function {called} is not allowed; these are: {}",
                allowed.join(", ")
            )));
        }
        let exotic = *uses_odbc_syntax
            || *parameters != FunctionArguments::None
            || !within_group.is_empty()
            || null_treatment.is_some();
        let FunctionArguments::List(FunctionArgumentList { args, clauses, .. }) = args else {
            return Err(SqlError::forbidden(format!("the function {called} is called with brackets")));
        };
        if exotic || !clauses.is_empty() {
            return Err(SqlError::forbidden(format!(
                "the call of {called} has a form that is not understood"
            )));
        }
        // With several, SQLite answers the least of each row, and PostgreSQL knows no such function.
        if matches!(called.as_str(), "min" | "max") && args.len() != 1 {
            return Err(SqlError::forbidden(format!("{called} takes one argument")));
        }
        for argument in &mut *args {
            match argument {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => self.expression(expression)?,
                FunctionArg::Unnamed(FunctionArgExpr::Wildcard) if called == "count" => {}
                _ => {
                    return Err(SqlError::forbidden(format!(
                        "an argument of {called} has a form that is not understood"
                    )));
                }
            }
        }
        if SEEKING.contains(&called.as_str())
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(sought))) = args.get_mut(1)
        {
            self.sought(sought);
        }
        filter.iter_mut().try_for_each(|condition| self.condition(condition))?;
        match over {
            Some(WindowType::WindowSpec(specification)) => self.window(specification),
            Some(WindowType::NamedWindow(_)) | None => Ok(()),
        }
    }

    pub(super) fn window(&mut self, specification: &mut WindowSpec) -> Result<(), SqlError> {
        let WindowSpec { window_name: _, partition_by, order_by, window_frame } = specification;
        self.expressions(partition_by)?;
        self.orders(order_by)?;
        let Some(WindowFrame { start_bound, end_bound, .. }) = window_frame else { return Ok(()) };
        std::iter::once(start_bound).chain(end_bound.iter_mut()).try_for_each(|bound| match bound {
            WindowFrameBound::Preceding(Some(rows)) | WindowFrameBound::Following(Some(rows)) => {
                self.expression(rows)
            }
            _ => Ok(()),
        })
    }
}

fn identifier(name: &Ident) -> Result<(), SqlError> {
    let word = folded(name);
    if name.quote_style.is_none() && NO_COLUMNS.contains(&word.as_str()) {
        return Err(SqlError::forbidden(format!(
            "`{word}` is no column: who asks and when is no part of a table"
        )));
    }
    Ok(())
}

fn literal(value: &Value) -> Result<(), SqlError> {
    match value {
        Value::Number(_, false) | Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => Ok(()),
        _ => Err(SqlError::forbidden("literals are numbers, 'texts', TRUE, FALSE and NULL")),
    }
}

fn is_moment(data_type: &SqlType) -> bool {
    matches!(data_type, SqlType::Timestamp(..))
}

fn collated(expression: Expr, name: &str) -> Expr {
    Expr::Collate {
        expr: Box::new(expression),
        collation: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
    }
}

fn number(value: u32) -> Expr {
    Expr::value(Value::Number(value.to_string(), false))
}

pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let arguments =
        arguments.into_iter().map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)));
    let list =
        FunctionArgumentList { duplicate_treatment: None, args: arguments.collect(), clauses: Vec::new() };
    Expr::Function(Function {
        name: ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(list),
        within_group: Vec::new(),
        filter: None,
        null_treatment: None,
        over: None,
    })
}
