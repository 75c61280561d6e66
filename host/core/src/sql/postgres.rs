//! Where PostgreSQL needs another word, so that a statement answers there what it answers on SQLite.
//!
//! SQLite has integers of 64 bits, floats and texts. PostgreSQL has more numbers than these, of which one turns into another
//! by rules of its own, writes times its own way when they become text, and bounds no text. What is put in here calls
//! the functions of the schema [`SCHEMA`], which the catalogue's migrations make.

use sqlparser::ast::{
    BinaryOperator, CastKind, DataType as SqlType, Expr, Function, FunctionArg, FunctionArgExpr,
    FunctionArgumentList, FunctionArguments, Ident, ObjectName, ObjectNamePart, TimezoneInfo, Value,
};

use super::SqlDialect;
use super::check::{Walk, folded};
use super::expression::call;
use super::postgres_functions::{AS_TEXT, JOINED, OPERAND, SCHEMA, SOUGHT};
use crate::data_type::DataType;

/// Functions of numbers, which take a decimal as a float.
const OF_NUMBERS: [&str; 14] = [
    "abs", "ceil", "ceiling", "degrees", "exp", "floor", "ln", "log10", "power", "radians", "round", "sign",
    "sqrt", "trunc",
];
/// Functions of texts.
const OF_TEXTS: [&str; 8] = ["length", "lower", "ltrim", "replace", "rtrim", "substr", "trim", "upper"];
/// Functions whose second argument, and what stands behind it, is a position or a length of 32 bits.
const WITH_POSITIONS: [&str; 4] = ["nth_value", "round", "substr", "substring"];
/// Of these, the second argument alone.
const WITH_OFFSET: [&str; 2] = ["lag", "lead"];

impl Walk<'_> {
    /// A revision is written for one database, and means what that one says.
    fn is_postgres(&self) -> bool {
        self.dialect == SqlDialect::PostgreSql && self.revision.is_none()
    }

    /// A literal. One with a point is a float, and not a decimal.
    pub(super) fn postgres_literal(&self, expression: &mut Expr) {
        let Expr::Value(value) = &*expression else { return };
        let Value::Number(digits, _) = &value.value else { return };
        if self.is_postgres() && digits.parse::<i64>().is_err() {
            *expression = cast(expression.clone(), SqlType::DoublePrecision);
        }
    }

    /// Arithmetic and the joining of texts.
    pub(super) fn postgres_operator(&self, expression: &mut Expr) {
        if !self.is_postgres() {
            return;
        }
        let Expr::BinaryOp { left, op, right } = expression else { return };
        match op {
            BinaryOperator::Plus | BinaryOperator::Minus | BinaryOperator::Multiply => {
                self.postgres_operand(left);
                self.postgres_operand(right);
            }
            // What is divided by zero is null.
            BinaryOperator::Divide | BinaryOperator::Modulo => {
                self.postgres_operand(left);
                self.postgres_operand(right);
                let zero = Expr::value(Value::Number("0".to_owned(), false));
                **right = call("nullif", vec![taken(right), zero]);
            }
            BinaryOperator::StringConcat => {
                *expression = joined(self.as_text(taken(left)), self.as_text(taken(right)));
            }
            _ => {}
        }
    }

    /// An operand of arithmetic, or an argument of a function of numbers.
    pub(super) fn postgres_operand(&self, expression: &mut Expr) {
        if !self.is_postgres() || is_literal(expression) || is_number(expression) {
            return;
        }
        let known = self.column_type(expression);
        if !matches!(known, Some(DataType::Float64 | DataType::Int64)) {
            *expression = own(OPERAND, vec![taken(expression)]);
        }
    }

    /// `substring`, as it is understood: with positions.
    pub(super) fn postgres_substring(&self, text: &mut Expr, from: &mut Expr, length: Option<&mut Expr>) {
        if self.is_postgres() {
            *text = self.as_text(taken(text));
            std::iter::once(from).chain(length).for_each(as_position);
        }
    }

    /// A text in a place where only one can stand.
    pub(super) fn postgres_text(&self, expression: &mut Expr) {
        if self.is_postgres() {
            *expression = self.as_text(taken(expression));
        }
    }

    /// What is looked for in a text, by way of the function that bounds it.
    pub(super) fn postgres_sought(&self, expression: &mut Expr) {
        *expression = own(SOUGHT, vec![self.as_text(taken(expression))]);
    }

    /// A value as text, where it is none yet.
    fn as_text(&self, expression: Expr) -> Expr {
        let is_text = matches!(
            self.column_type(&expression),
            // The length of bytes is one of bytes.
            Some(DataType::String | DataType::Bytes)
        );
        if is_text || is_text_literal(&expression) || is_own(&expression) {
            expression
        } else {
            own(AS_TEXT, vec![expression])
        }
    }

    /// A cast to a type of the list; None where PostgreSQL's own is meant.
    pub(super) fn postgres_cast(&self, inner: &Expr, data_type: &SqlType) -> Option<Expr> {
        if !self.is_postgres() {
            return None;
        }
        let inner = inner.clone();
        match data_type {
            SqlType::Text | SqlType::Varchar(_) | SqlType::CharacterVarying(_) => {
                Some(cast(self.as_text(inner), SqlType::Text))
            }
            SqlType::SmallInt(None)
            | SqlType::Int(None)
            | SqlType::Integer(None)
            | SqlType::BigInt(None)
            | SqlType::Int2(None)
            | SqlType::Int4(None)
            | SqlType::Int8(None) => {
                // Through the text, for every number has one, and so has the text of a number.
                let number = cast(cast(inner, SqlType::Text), numeric());
                Some(cast(call("trunc", vec![number]), SqlType::BigInt(None)))
            }
            SqlType::Real
            | SqlType::Float4
            | SqlType::Float8
            | SqlType::DoublePrecision
            | SqlType::Numeric(_)
            | SqlType::Decimal(_) => Some(cast(inner, SqlType::DoublePrecision)),
            _ => None,
        }
    }

    /// A call; its arguments are those of PostgreSQL already.
    pub(super) fn postgres_call(&self, expression: &mut Expr) {
        if !self.is_postgres() {
            return;
        }
        let Expr::Function(function) = expression else { return };
        let [ObjectNamePart::Identifier(name)] = function.name.0.as_slice() else { return };
        let called = folded(name);
        let mut arguments = arguments(function);
        match (called.as_str(), arguments.as_mut_slice()) {
            ("avg", [number]) => **number = cast(taken(number), SqlType::DoublePrecision),
            ("sum", [number]) => self.postgres_operand(number),
            ("min" | "max", [value]) => {
                // PostgreSQL has no least of these.
                let known = self.column_type(value);
                if matches!(known, Some(DataType::Bool | DataType::Uuid | DataType::Json)) {
                    **value = self.as_text(taken(value));
                }
            }
            ("mod", [left, right]) => {
                // Of no text: the division of two that are long has no end. Decimals keep their digits.
                for operand in [&mut **left, &mut **right] {
                    if !matches!(self.column_type(operand), Some(DataType::Decimal { .. })) {
                        self.postgres_operand(operand);
                    }
                }
                **left = cast(taken(left), numeric());
                let zero = Expr::value(Value::Number("0".to_owned(), false));
                **right = call("nullif", vec![cast(taken(right), numeric()), zero]);
                *expression = cast(Expr::Function(function.clone()), SqlType::DoublePrecision);
            }
            ("concat", values) => {
                let empty = || Expr::value(Value::SingleQuotedString(String::new()));
                let texts = values.iter_mut().map(|value| {
                    let text = self.as_text(taken(value));
                    call("coalesce", vec![cast(text, SqlType::Text), empty()])
                });
                *expression = texts.reduce(joined).unwrap_or_else(empty);
            }
            ("date_trunc", [_, time]) if is_literal(time) => {
                **time = cast(taken(time), SqlType::Timestamp(None, TimezoneInfo::Tz));
            }
            ("ntile", [buckets]) => as_position(buckets),
            ("power", [base, exponent]) => {
                self.postgres_operand(base);
                self.postgres_operand(exponent);
            }
            (name, [first, rest @ ..]) => {
                if OF_NUMBERS.contains(&name) {
                    self.postgres_operand(first);
                }
                if OF_TEXTS.contains(&name) || name == "substring" {
                    **first = self.as_text(taken(first));
                }
                if WITH_POSITIONS.contains(&name) {
                    for position in rest.iter_mut() {
                        as_position(position);
                    }
                }
                if WITH_OFFSET.contains(&name) {
                    rest.iter_mut().take(1).for_each(|offset| as_position(offset));
                }
                if name == "replace" {
                    for text in rest.iter_mut() {
                        **text = self.as_text(taken(text));
                    }
                }
                if name == "round" && rest.is_empty() {
                    let digits = Expr::value(Value::Number("0".to_owned(), false));
                    push_argument(function, digits);
                }
            }
            _ => {}
        }
    }

    /// The type of a column of the table, where an expression is one.
    fn column_type(&self, expression: &Expr) -> Option<DataType> {
        match expression {
            Expr::Identifier(name) => self.type_of(name),
            Expr::CompoundIdentifier(names) => self.type_of(names.last()?),
            Expr::Nested(inner) => self.column_type(inner),
            _ => None,
        }
    }
}

/// A literal, whose type PostgreSQL takes from the place where it stands.
fn is_literal(expression: &Expr) -> bool {
    match expression {
        Expr::Value(_) => true,
        Expr::Nested(inner) => is_literal(inner),
        _ => false,
    }
}

/// A text, or null, which may be one.
fn is_text_literal(expression: &Expr) -> bool {
    match expression {
        Expr::Value(value) => matches!(value.value, Value::SingleQuotedString(_) | Value::Null),
        Expr::Nested(inner) => is_text_literal(inner),
        _ => false,
    }
}

/// What arithmetic answers, and what is cast: never a decimal.
fn is_number(expression: &Expr) -> bool {
    match expression {
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
        ),
        Expr::Cast { data_type, .. } => {
            matches!(data_type, SqlType::DoublePrecision | SqlType::BigInt(None) | SqlType::Integer(None))
        }
        Expr::Nested(inner) => is_number(inner),
        _ => false,
    }
}

/// A call of a function of this host that answers a text.
fn is_own(expression: &Expr) -> bool {
    let Expr::Function(function) = expression else { return false };
    let parts = [JOINED, AS_TEXT, SOUGHT].map(|name| format!("{SCHEMA}.{name}"));
    parts.contains(&function.name.to_string())
}

/// An integer of 32 bits. A text in its place would be a pattern to `substring`.
fn as_position(expression: &mut Expr) {
    if !is_literal(expression) || is_text_literal(expression) {
        *expression = cast(taken(expression), SqlType::Integer(None));
    }
}

fn numeric() -> SqlType {
    SqlType::Numeric(sqlparser::ast::ExactNumberInfo::None)
}

fn cast(expression: Expr, data_type: SqlType) -> Expr {
    let expr = Box::new(expression);
    Expr::Cast { kind: CastKind::Cast, expr, data_type, format: None }
}

fn joined(left: Expr, right: Expr) -> Expr {
    own(JOINED, vec![left, right])
}

/// A call of a function of this host.
fn own(name: &str, arguments: Vec<Expr>) -> Expr {
    let mut called = call(name, arguments);
    if let Expr::Function(function) = &mut called {
        let parts = [SCHEMA, name].map(|part| ObjectNamePart::Identifier(Ident::new(part)));
        function.name = ObjectName(parts.into());
    }
    called
}

/// What stands in a place, which is filled anew.
fn taken(place: &mut Expr) -> Expr {
    std::mem::replace(place, Expr::value(Value::Null))
}

/// The arguments of a call that are expressions.
fn arguments(function: &mut Function) -> Vec<&mut Expr> {
    let FunctionArguments::List(FunctionArgumentList { args, .. }) = &mut function.args else {
        return Vec::new();
    };
    let expressions = args.iter_mut().filter_map(|argument| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expression)) => Some(expression),
        _ => None,
    });
    expressions.collect()
}

fn push_argument(function: &mut Function, argument: Expr) {
    if let FunctionArguments::List(FunctionArgumentList { args, .. }) = &mut function.args {
        args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::{SqlDialect, check};
    use crate::contract::Contract;

    #[test]
    fn statements_are_written_for_postgresql() {
        let contract = Contract::from_toml(
            r#"
            identifier = "t"
            index = ["time_index", "name"]
            columns = [
                { name = "time_index", type = "timestamp_tz" }, { name = "name", type = "string" },
                { name = "d", type = "decimal(10,2)" }, { name = "f", type = "float64" }, { name = "i", type = "int32" },
            ]"#,
        )
        .unwrap();
        let written = |sql: &str| check(sql, &contract, SqlDialect::PostgreSql).unwrap().sql;
        for (sql, expected) in [
            ("SELECT name FROM public.t", r#"SELECT name FROM "t" AS "t""#),
            // A name is what it would have been, whatever stands there.
            (
                "SELECT f / d + 1.5",
                r#"SELECT f / nullif(datanode_sql.operand(d), 0) + CAST(1.5 AS DOUBLE PRECISION) AS "?column?""#,
            ),
            ("SELECT avg(i)", r#"SELECT avg(CAST(i AS DOUBLE PRECISION)) AS "avg""#),
            ("SELECT round(f)", r#"SELECT round(f, 0) AS "round""#),
            (
                "SELECT name || i || 'x' AS j",
                "SELECT datanode_sql.joined(datanode_sql.joined(name, datanode_sql.as_text(i)), 'x') AS j",
            ),
            (
                "SELECT time_index::text",
                r#"SELECT CAST(datanode_sql.as_text(time_index) AS TEXT) AS "time_index""#,
            ),
            ("SELECT substr(name, i) AS s", "SELECT SUBSTR(name, CAST(i AS INTEGER)) AS s"),
            // No regular expression.
            (
                "SELECT substring(name, '(a+)+$') AS s",
                "SELECT SUBSTRING(name, CAST('(a+)+$' AS INTEGER)) AS s",
            ),
            (
                "SELECT mod(name, 2) AS m",
                "SELECT CAST(mod(CAST(datanode_sql.operand(name) AS NUMERIC), nullif(CAST(2 AS NUMERIC), 0)) AS DOUBLE PRECISION) AS m",
            ),
            (
                "EXPLAIN SELECT i FROM t ORDER BY 1",
                r#"EXPLAIN SELECT i FROM "t" AS "t" ORDER BY 1 NULLS LAST"#,
            ),
        ] {
            assert_eq!(written(sql), expected, "{sql}");
        }
    }
}
