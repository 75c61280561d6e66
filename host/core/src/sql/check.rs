//! Statements: one query over one table, and the names that it may read.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Cte, DescribeAlias, Distinct, Expr, GroupByExpr, Ident, Join, JoinConstraint, JoinOperator, LimitClause,
    NamedWindowExpr, ObjectName, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectFlavor,
    SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins,
    Value, WildcardAdditionalOptions,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, Tokenizer};

use super::revision::Reach;
use super::{SqlDialect, SqlError, SqlErrorKind, condition};
use crate::contract::Contract;
use crate::data_type::DataType;

/// The longest statement, in bytes.
const MAX_SQL_BYTES: usize = 256 << 10;
/// The most words and signs of a statement, commas and literals aside. Chains of operators nest as deep as they are
/// long, and what drops a tree goes down all of it.
const MAX_SIGNS: usize = 2_000;
/// How deep a statement may nest.
const MAX_DEPTH: usize = 150;
/// The stack of the thread on which a statement is judged. A parser goes down some kilobytes for each bracket, and callers
/// have as little as 2 MiB.
const STACK_BYTES: usize = 64 << 20;
/// How deep brackets may nest, by the parser's own count.
const PARSER_DEPTH: usize = 50;
/// The schema that clients write before a table.
const SCHEMA: &str = "public";

/// A statement that may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedSql {
    /// Written anew from what was understood.
    pub sql: String,
    /// The query alone where `sql` asks for its plan; else None.
    pub explained: Option<String>,
    /// Names of the queries that WITH names in it.
    pub queries: Vec<String>,
}

/// Judge a statement over one table. The table may be called by its identifier or its physical name; in the answer it is
/// always the physical one, without a schema.
pub fn check(sql: &str, contract: &Contract, dialect: SqlDialect) -> Result<CheckedSql, SqlError> {
    with_room(|| check_here(sql, contract, dialect))
}

/// Judge something on a thread with room for it.
pub(super) fn with_room<T: Send>(judge: impl FnOnce() -> Result<T, SqlError> + Send) -> Result<T, SqlError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, judge) {
            // A parser of another house may panic over what nobody thought of: that is no reason to fall.
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|_| Err(SqlError::forbidden("the statement cannot be understood"))),
            Err(error) => Err(SqlError {
                retryable: true,
                ..SqlError::new(SqlErrorKind::RuntimeError, format!("no thread can be had: {error}"))
            }),
        }
    })
}

fn check_here(sql: &str, contract: &Contract, dialect: SqlDialect) -> Result<CheckedSql, SqlError> {
    let mut statement = parse(sql, |tokens| tokens)?;
    let mut explained = None;
    let mut walk = Walk::new(contract, dialect, None);
    match &mut statement {
        Statement::Query(query) => walk.statement(query)?,
        Statement::Explain {
            describe_alias: DescribeAlias::Explain,
            analyze: false,
            verbose: false,
            query_plan,
            estimate: false,
            statement,
            format: None,
            options: None,
        } => {
            let Statement::Query(query) = statement.as_mut() else {
                return Err(SqlError::forbidden("only a query can be explained"));
            };
            *query_plan = dialect == SqlDialect::Sqlite;
            walk.statement(query)?;
            explained = Some(query.to_string());
        }
        Statement::Explain { .. } => {
            return Err(SqlError::forbidden("EXPLAIN is allowed without options only"));
        }
        _ => return Err(SqlError::forbidden("only SELECT, WITH and EXPLAIN are allowed")),
    }
    Ok(CheckedSql { sql: statement.to_string(), explained, queries: walk.queries })
}

/// The one statement of a text. `edit` sees its words before the parser does.
pub(super) fn parse(sql: &str, edit: impl FnOnce(Vec<Token>) -> Vec<Token>) -> Result<Statement, SqlError> {
    let syntax = |message: String| SqlError::new(SqlErrorKind::SyntaxError, message);
    if sql.len() > MAX_SQL_BYTES {
        return Err(SqlError::forbidden(format!(
            "the statement has {} bytes where {MAX_SQL_BYTES} are allowed",
            sql.len()
        )));
    }
    if sql.contains('\0') {
        return Err(syntax("the statement contains the character U+0000".to_owned()));
    }
    let dialect = PostgreSqlDialect {};
    let tokens = Tokenizer::new(&dialect, sql).tokenize().map_err(|error| syntax(error.to_string()))?;
    let counts = |token: &&Token| {
        !matches!(
            token,
            Token::Whitespace(_) | Token::Comma | Token::Number(..) | Token::SingleQuotedString(_)
        )
    };
    if tokens.iter().filter(counts).count() > MAX_SIGNS {
        return Err(SqlError::forbidden(format!("the statement has more than {MAX_SIGNS} words and signs")));
    }
    let mut parser = Parser::new(&dialect).with_recursion_limit(PARSER_DEPTH).with_tokens(edit(tokens));
    let mut statements = parser.parse_statements().map_err(|error| match error {
        ParserError::RecursionLimitExceeded => SqlError::forbidden("the statement nests too deeply"),
        ParserError::TokenizerError(message) | ParserError::ParserError(message) => syntax(message),
    })?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(syntax("there is no statement".to_owned())),
        (Some(_), false) => Err(SqlError::forbidden("only one statement is allowed")),
    }
}

/// A name as PostgreSQL folds it.
pub(super) fn folded(name: &Ident) -> String {
    if name.quote_style.is_some() { name.value.clone() } else { name.value.to_lowercase() }
}

pub(super) fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

/// Goes through a statement, refusing what is not known to be harmless, and writing names and types as the database
/// has them.
pub(super) struct Walk<'c> {
    contract: &'c Contract,
    pub(super) dialect: SqlDialect,
    /// What a revision may do beyond a query of a user; None: it is no revision's.
    pub(super) revision: Option<&'c Reach<'c>>,
    /// Names of the queries that WITH has named, by scope: the innermost comes last.
    scopes: Vec<Vec<String>>,
    /// All of these names.
    queries: Vec<String>,
    depth: usize,
    /// Literals that calls look for and that do without being bounded, which together are short; and the others.
    pub(super) literals_sought: BTreeSet<String>,
    pub(super) literals_bounded: BTreeSet<String>,
}

impl<'c> Walk<'c> {
    pub(super) fn new(contract: &'c Contract, dialect: SqlDialect, revision: Option<&'c Reach<'c>>) -> Self {
        Self {
            contract,
            dialect,
            revision,
            scopes: Vec::new(),
            queries: Vec::new(),
            depth: 0,
            literals_sought: BTreeSet::new(),
            literals_bounded: BTreeSet::new(),
        }
    }
}

impl Walk<'_> {
    /// Do something one level deeper.
    pub(super) fn deeper<T>(
        &mut self,
        walk: impl FnOnce(&mut Self) -> Result<T, SqlError>,
    ) -> Result<T, SqlError> {
        if self.depth == MAX_DEPTH {
            return Err(SqlError::forbidden(format!("the statement nests deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let answer = walk(self);
        self.depth -= 1;
        answer
    }

    /// The type of a column of the table, by its name alone.
    pub(super) fn type_of(&self, name: &Ident) -> Option<DataType> {
        self.contract.column(&folded(name)).map(|column| column.data_type)
    }

    fn statement(&mut self, query: &mut Query) -> Result<(), SqlError> {
        self.query(query)?;
        if self.dialect == SqlDialect::Sqlite {
            condition::show(&mut query.body);
        }
        Ok(())
    }

    pub(super) fn query(&mut self, query: &mut Query) -> Result<(), SqlError> {
        self.deeper(|walk| {
            walk.scopes.push(Vec::new());
            let answer = walk.query_in_scope(query);
            walk.scopes.pop();
            answer
        })
    }

    fn query_in_scope(&mut self, query: &mut Query) -> Result<(), SqlError> {
        let Query {
            with,
            body,
            order_by,
            limit_clause,
            fetch,
            locks,
            for_clause,
            settings,
            format_clause,
            pipe_operators,
        } = query;
        if !locks.is_empty() {
            return Err(SqlError::forbidden("a query may not lock rows (FOR UPDATE, FOR SHARE)"));
        }
        if fetch.is_some() {
            return Err(SqlError::forbidden("FETCH is not understood: write LIMIT"));
        }
        if for_clause.is_some() || settings.is_some() || format_clause.is_some() || !pipe_operators.is_empty()
        {
            return Err(SqlError::forbidden("the query has a clause that only other databases know"));
        }
        if let Some(with) = with {
            for cte in &mut with.cte_tables {
                self.cte(cte, with.recursive)?;
            }
        }
        self.set(body)?;
        if let Some(order_by) = order_by {
            self.order_by(order_by)?;
        }
        match limit_clause {
            None => {}
            Some(LimitClause::LimitOffset { limit, offset, limit_by }) if limit_by.is_empty() => {
                limit.iter_mut().try_for_each(|limit| self.expression(limit))?;
                offset.iter_mut().try_for_each(|offset| self.expression(&mut offset.value))?;
                // SQLite knows OFFSET behind a LIMIT only.
                if self.dialect == SqlDialect::Sqlite && offset.is_some() && limit.is_none() {
                    *limit = Some(Expr::value(Value::Number("-1".to_owned(), false)));
                }
            }
            Some(_) => return Err(SqlError::forbidden("write LIMIT … OFFSET …")),
        }
        Ok(())
    }

    fn cte(&mut self, cte: &mut Cte, recursive: bool) -> Result<(), SqlError> {
        let name = folded(&cte.alias.name);
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
            return Err(SqlError::forbidden(format!(
                "`{name}`: a query of WITH is named by lower-case letters, digits and _, a letter first"
            )));
        }
        if name.starts_with("sqlite_") || name.starts_with("pg_") || self.is_table(&name) {
            return Err(SqlError::forbidden(format!(
                "`{name}` is the name of a table: call the query of WITH by another"
            )));
        }
        if cte.from.is_some() {
            return Err(SqlError::forbidden("a query of WITH may have no FROM of its own"));
        }
        if recursive && self.revision.is_some() {
            return Err(SqlError::forbidden("a recursive query may never end"));
        }
        plain_alias(Some(&cte.alias))?;
        self.queries.push(name.clone());
        // A query sees those that come before it, and itself only where that is said.
        if recursive {
            self.scopes.last_mut().into_iter().for_each(|scope| scope.push(name.clone()));
        }
        self.query(&mut cte.query)?;
        if !recursive {
            self.scopes.last_mut().into_iter().for_each(|scope| scope.push(name.clone()));
        }
        Ok(())
    }

    fn is_table(&self, name: &str) -> bool {
        if let Some(reach) = self.revision {
            return reach.reads(name);
        }
        name == self.contract.identifier || name == self.contract.physical_name()
    }

    fn set(&mut self, set: &mut SetExpr) -> Result<(), SqlError> {
        self.deeper(|walk| match set {
            SetExpr::Select(select) => walk.select(select),
            SetExpr::Query(query) => walk.query(query),
            SetExpr::SetOperation { left, right, .. } => {
                walk.set(left)?;
                walk.set(right)
            }
            SetExpr::Values(values) if !values.explicit_row => values
                .rows
                .iter_mut()
                .flat_map(|row| row.content.iter_mut())
                .try_for_each(|value| walk.expression(value)),
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                Err(SqlError::forbidden("nothing may be written"))
            }
            _ => Err(SqlError::forbidden("write SELECT … FROM the table")),
        })
    }

    fn select(&mut self, select: &mut Select) -> Result<(), SqlError> {
        if select.into.is_some() {
            return Err(SqlError::forbidden("SELECT INTO makes a table"));
        }
        let foreign = !select.optimizer_hints.is_empty()
            || select.select_modifiers.is_some()
            || select.top.is_some()
            || select.exclude.is_some()
            || !select.lateral_views.is_empty()
            || select.prewhere.is_some()
            || !select.connect_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
            || !select.sort_by.is_empty()
            || select.qualify.is_some()
            || select.value_table_mode.is_some()
            || select.flavor != SelectFlavor::Standard
            || matches!(select.distinct, Some(Distinct::On(_)));
        if foreign {
            return Err(SqlError::forbidden("the query has a clause that not every database knows"));
        }
        for item in &mut select.projection {
            match item {
                SelectItem::UnnamedExpr(expression) => {
                    let name = self.name_of(expression);
                    self.expression(expression)?;
                    if let Some(name) = name {
                        *item = SelectItem::ExprWithAlias { expr: expression.clone(), alias: quoted(&name) };
                    }
                }
                SelectItem::ExprWithAlias { expr: expression, .. } => self.expression(expression)?,
                SelectItem::Wildcard(options) => plain_wildcard(options)?,
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), options) => {
                    plain_wildcard(options)?;
                    without_schema(name)?;
                }
                _ => {
                    return Err(SqlError::forbidden(
                        "a column of the answer has a form that is not understood",
                    ));
                }
            }
        }
        for table in &mut select.from {
            self.tables(table)?;
        }
        select.selection.iter_mut().try_for_each(|condition| self.condition(condition))?;
        match &mut select.group_by {
            GroupByExpr::Expressions(expressions, modifiers) if modifiers.is_empty() => {
                expressions.iter_mut().try_for_each(|expression| self.expression(expression))?;
            }
            _ => return Err(SqlError::forbidden("GROUP BY takes a list of expressions")),
        }
        select.having.iter_mut().try_for_each(|condition| self.condition(condition))?;
        for window in &mut select.named_window {
            match &mut window.1 {
                NamedWindowExpr::WindowSpec(specification) => self.window(specification)?,
                NamedWindowExpr::NamedWindow(_) => {
                    return Err(SqlError::forbidden("a window is written in brackets"));
                }
            }
        }
        Ok(())
    }

    /// What PostgreSQL calls a column of the answer that has no name. SQLite would take the text of the expression, and what
    /// is written anew for PostgreSQL would have another.
    fn name_of(&self, expression: &Expr) -> Option<String> {
        if self.revision.is_some() {
            return None;
        }
        match expression {
            Expr::Identifier(_) | Expr::CompoundIdentifier(_) => None,
            Expr::Nested(inner) => self.name_of(inner).or_else(|| match inner.as_ref() {
                Expr::Identifier(name) => Some(folded(name)),
                _ => None,
            }),
            Expr::Function(function) => match function.name.0.as_slice() {
                [ObjectNamePart::Identifier(name)] => Some(folded(name)),
                _ => None,
            },
            Expr::Cast { expr, .. } => match expr.as_ref() {
                Expr::Identifier(name) => Some(folded(name)),
                other => self.name_of(other),
            },
            Expr::Case { .. } => Some("case".to_owned()),
            Expr::Substring { .. } => Some("substring".to_owned()),
            Expr::Trim { .. } => Some("btrim".to_owned()),
            Expr::Ceil { .. } => Some("ceil".to_owned()),
            Expr::Floor { .. } => Some("floor".to_owned()),
            Expr::Exists { .. } => Some("exists".to_owned()),
            _ => Some("?column?".to_owned()),
        }
    }

    pub(super) fn tables(&mut self, tables: &mut TableWithJoins) -> Result<(), SqlError> {
        self.deeper(|walk| {
            walk.factor(&mut tables.relation)?;
            for Join { relation, global, join_operator } in &mut tables.joins {
                walk.factor(relation)?;
                let constraint = match join_operator {
                    JoinOperator::Join(constraint)
                    | JoinOperator::Inner(constraint)
                    | JoinOperator::Left(constraint)
                    | JoinOperator::LeftOuter(constraint)
                    | JoinOperator::Right(constraint)
                    | JoinOperator::RightOuter(constraint)
                    | JoinOperator::FullOuter(constraint)
                    | JoinOperator::CrossJoin(constraint)
                        if !*global =>
                    {
                        constraint
                    }
                    _ => return Err(SqlError::forbidden("a join of this kind is not understood")),
                };
                if let JoinConstraint::On(condition) = constraint {
                    walk.condition(condition)?;
                }
            }
            Ok(())
        })
    }

    fn factor(&mut self, factor: &mut TableFactor) -> Result<(), SqlError> {
        match factor {
            TableFactor::Table {
                name,
                alias,
                args: None,
                with_hints,
                version: None,
                with_ordinality: false,
                partitions,
                json_path: None,
                sample: None,
                index_hints,
            } if with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
                plain_alias(alias.as_ref())?;
                self.table(name, alias)
            }
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                plain_alias(alias.as_ref())?;
                self.query(subquery)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => self.tables(table_with_joins),
            TableFactor::Table { args: Some(_), .. }
            | TableFactor::Function { .. }
            | TableFactor::TableFunction { .. }
            | TableFactor::UNNEST { .. } => {
                Err(SqlError::forbidden("a function may not stand in the place of a table"))
            }
            _ => Err(SqlError::forbidden("FROM takes the table, and queries in brackets")),
        }
    }

    /// A name after FROM: the table, or a query of WITH that is in scope.
    fn table(&self, name: &mut ObjectName, alias: &mut Option<TableAlias>) -> Result<(), SqlError> {
        let written = name.to_string();
        let unknown = || {
            SqlError::new(
                SqlErrorKind::UnknownTable,
                format!(
                    "`{written}` cannot be read here: this statement reads the table `{}`",
                    self.contract.identifier
                ),
            )
        };
        let (schema, table) = match name.0.as_slice() {
            [ObjectNamePart::Identifier(table)] => (None, table),
            [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(table)] => (Some(schema), table),
            _ => return Err(unknown()),
        };
        if let Some(reach) = self.revision {
            let is_query = |name: &String| self.scopes.iter().flatten().any(|known| known == name);
            if schema.is_none() && is_query(&folded(table)) {
                return Ok(());
            }
            return reach.read(name);
        }
        if schema.is_some_and(|schema| folded(schema) != SCHEMA) {
            return Err(unknown());
        }
        let table = folded(table);
        if schema.is_none() && self.scopes.iter().flatten().any(|known| *known == table) {
            *name = ObjectName(vec![ObjectNamePart::Identifier(quoted(&table))]);
            return Ok(());
        }
        if !self.is_table(&table) {
            return Err(unknown());
        }
        *name = ObjectName(vec![ObjectNamePart::Identifier(quoted(self.contract.physical_name()))]);
        // Columns may be written behind the name that the statement used.
        alias.get_or_insert(TableAlias {
            explicit: true,
            name: quoted(&table),
            columns: Vec::new(),
            at: None,
        });
        Ok(())
    }

    pub(super) fn order_by(&mut self, order_by: &mut OrderBy) -> Result<(), SqlError> {
        match (&mut order_by.kind, &order_by.interpolate) {
            (OrderByKind::Expressions(expressions), None) => self.orders(expressions),
            _ => Err(SqlError::forbidden("ORDER BY takes a list of expressions")),
        }
    }

    pub(super) fn orders(&mut self, expressions: &mut [sqlparser::ast::OrderByExpr]) -> Result<(), SqlError> {
        expressions.iter_mut().try_for_each(|order| {
            if order.with_fill.is_some() || !plain_order(order) {
                return Err(SqlError::forbidden("ORDER BY takes ASC, DESC, NULLS FIRST and NULLS LAST"));
            }
            self.expression(&mut order.expr)?;
            // Left open, it is the last on PostgreSQL and the first on SQLite.
            if order.options.nulls_first.is_none() {
                let descending = matches!(order.options.sort, Some(sqlparser::ast::OrderBySort::Desc));
                order.options.nulls_first = Some(descending);
            }
            Ok(())
        })
    }

    pub(super) fn condition(&mut self, condition: &mut Expr) -> Result<(), SqlError> {
        self.expression(condition)?;
        self.as_condition(condition);
        Ok(())
    }
}

fn plain_alias(alias: Option<&TableAlias>) -> Result<(), SqlError> {
    let plain = |alias: &TableAlias| {
        alias.at.is_none() && alias.columns.iter().all(|column| column.data_type.is_none())
    };
    if alias.is_none_or(plain) {
        return Ok(());
    }
    Err(SqlError::forbidden("an alias is a name, and names of columns"))
}

fn plain_order(order: &sqlparser::ast::OrderByExpr) -> bool {
    use sqlparser::ast::OrderBySort;
    matches!(order.options.sort, None | Some(OrderBySort::Asc | OrderBySort::Desc))
}

fn plain_wildcard(options: &WildcardAdditionalOptions) -> Result<(), SqlError> {
    if *options == WildcardAdditionalOptions::default() {
        return Ok(());
    }
    Err(SqlError::forbidden("`*` takes no options"))
}

/// `public.t.*` means `t.*`.
fn without_schema(name: &mut ObjectName) -> Result<(), SqlError> {
    match name.0.as_slice() {
        [ObjectNamePart::Identifier(_)] => Ok(()),
        [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(_)] if folded(schema) == SCHEMA => {
            name.0.remove(0);
            Ok(())
        }
        _ => Err(SqlError::forbidden("`*` follows a table or an alias")),
    }
}

/// `public.t.c` means `t.c`.
pub(super) fn column_without_schema(name: &mut Vec<Ident>) -> Result<(), SqlError> {
    if name.len() == 3 && folded(&name[0]) == SCHEMA {
        name.remove(0);
    }
    if name.len() == 2 {
        return Ok(());
    }
    Err(SqlError::new(
        SqlErrorKind::UnknownColumn,
        format!(
            "`{}`: write a column as `column` or `table.column`",
            name.iter().map(ToString::to_string).collect::<Vec<_>>().join(".")
        ),
    ))
}
