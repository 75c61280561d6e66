//! Statements of a revision on PostgreSQL, which has no authorizer: what they may do is judged here, before any of them
//! runs, by a list of what is allowed.
//!
//! PostgreSQL alters every part of a table in place, so no table is made or dropped: a revision alters its own table,
//! fills it, and reads the tables that its foreign keys lead to. Who writes such SQL is an operator, or somebody who sent
//! them a folder; as with queries of users, the database is given what was understood, written anew.

use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, Assignment, AssignmentTarget, ColumnDef,
    ColumnOption, DataType as SqlType, Delete, DropBehavior, FromTable, Ident, Insert, ObjectName,
    ObjectNamePart, Statement, TableConstraint, TableFactor, TableObject, TableWithJoins, Update,
    UpdateTableFromKind,
};
use sqlparser::tokenizer::Token;

use super::check::{Walk, folded, parse, quoted, with_room};
use super::{SqlDialect, SqlError};
use crate::contract::Contract;

/// The schema of the tables of users, which a statement may name or leave out.
const SCHEMA: &str = "datanode_tables";

/// Functions that turn a value of one type into one of another, beside those of queries.
pub(super) const REVISION_FUNCTIONS: [&str; 7] =
    ["convert_to", "decode", "encode", "greatest", "least", "split_part", "to_char"];

/// What the SQL of a revision may touch.
#[derive(Debug, Clone, Copy)]
pub struct Reach<'c> {
    /// The contract of its table, before it.
    pub contract: &'c Contract,
    /// Physical names of the tables that it may read beside its own.
    pub read: &'c [String],
}

impl Reach<'_> {
    fn is_own(&self, name: &str) -> bool {
        name == self.contract.physical_name()
    }

    pub(super) fn reads(&self, name: &str) -> bool {
        self.is_own(name) || self.read.iter().any(|read| read == name)
    }

    /// A table that is read: its name with its schema.
    pub(super) fn read(&self, name: &mut ObjectName) -> Result<(), SqlError> {
        place(name, |table| self.reads(table), "reads")
    }

    /// The table that is changed.
    fn own(&self, name: &mut ObjectName, verb: &str) -> Result<(), SqlError> {
        place(name, |table| self.is_own(table), verb)
    }
}

/// Judge a statement of a revision; the answer is what PostgreSQL is to be given.
pub fn check_revision(sql: &str, reach: &Reach<'_>) -> Result<String, SqlError> {
    with_room(|| {
        let mut statement = parse(sql, without_collations_of_types)?;
        let mut walk = Walk::new(reach.contract, SqlDialect::PostgreSql, Some(reach));
        match &mut statement {
            Statement::AlterTable(alter) => walk.alter(alter, reach)?,
            Statement::Insert(insert) => walk.insert(insert, reach)?,
            Statement::Update(update) => walk.update(update, reach)?,
            Statement::Delete(delete) => walk.delete(delete, reach)?,
            Statement::Query(_) | Statement::Explain { .. } => {
                return Err(SqlError::forbidden("it answers rows, and nobody would read them"));
            }
            Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Savepoint { .. }
            | Statement::ReleaseSavepoint { .. } => {
                return Err(SqlError::forbidden("the transaction around the revision is datanode's"));
            }
            Statement::CreateIndex(_) => {
                return Err(SqlError::forbidden("a contract knows no index but its key"));
            }
            _ => {
                return Err(SqlError::forbidden(
                    "on PostgreSQL a revision alters and fills its own table, and nothing else",
                ));
            }
        }
        Ok(statement.to_string())
    })
}

/// `TYPE text COLLATE "C"` without the collation, which the parser does not know there. It is written again for every
/// text, see [`collated`].
fn without_collations_of_types(tokens: Vec<Token>) -> Vec<Token> {
    let word = |token: &Token, word: &str| matches!(token, Token::Word(found) if found.value.eq_ignore_ascii_case(word));
    let mut kept: Vec<Token> = Vec::with_capacity(tokens.len());
    let mut of_type = false;
    let mut words = tokens.into_iter().filter(|token| !matches!(token, Token::Whitespace(_))).peekable();
    while let Some(token) = words.next() {
        if word(&token, "TYPE") {
            of_type = true;
        } else if word(&token, "USING") || token == Token::Comma {
            of_type = false;
        } else if of_type
            && word(&token, "COLLATE")
            && matches!(words.peek(), Some(Token::Word(name)) if name.quote_style == Some('"') && name.value == "C")
        {
            words.next();
            continue;
        }
        kept.push(token);
    }
    kept
}

/// The type of a column, by which a text sorts by its bytes.
fn collated(data_type: &SqlType) -> Result<SqlType, SqlError> {
    Ok(match data_type {
        SqlType::Text => {
            let collated = ObjectName(vec![ObjectNamePart::Identifier(Ident::new("text COLLATE \"C\""))]);
            SqlType::Custom(collated, Vec::new())
        }
        SqlType::SmallInt(None)
        | SqlType::Int(None)
        | SqlType::Integer(None)
        | SqlType::BigInt(None)
        | SqlType::Real
        | SqlType::DoublePrecision
        | SqlType::Numeric(_)
        | SqlType::Bool
        | SqlType::Boolean
        | SqlType::Date
        | SqlType::Timestamp(..)
        | SqlType::Uuid
        | SqlType::JSON
        | SqlType::Bytea => data_type.clone(),
        other => return Err(SqlError::forbidden(format!("no column of a contract is of type {other}"))),
    })
}

pub(super) fn is_c(collation: &ObjectName) -> bool {
    matches!(collation.0.as_slice(), [ObjectNamePart::Identifier(name)] if name.quote_style.is_some() && name.value == "C")
}

fn plainly<T>(plain: bool, what: &str, answer: T) -> Result<T, SqlError> {
    if plain {
        Ok(answer)
    } else {
        Err(SqlError::forbidden(format!("{what} has a form that is not understood")))
    }
}

fn restricted(behavior: Option<DropBehavior>) -> Result<(), SqlError> {
    match behavior {
        Some(DropBehavior::Cascade) => Err(SqlError::forbidden("CASCADE reaches other tables")),
        Some(DropBehavior::Restrict) | None => Ok(()),
    }
}

impl Walk<'_> {
    fn alter(&mut self, alter: &mut AlterTable, reach: &Reach<'_>) -> Result<(), SqlError> {
        let AlterTable { name, if_exists: _, only: _, operations, location, on_cluster, table_type, .. } =
            alter;
        reach.own(name, "alters")?;
        plainly(location.is_none() && on_cluster.is_none() && table_type.is_none(), "ALTER TABLE", ())?;
        operations.iter_mut().try_for_each(|operation| self.operation(operation, reach))
    }

    fn operation(&mut self, operation: &mut AlterTableOperation, reach: &Reach<'_>) -> Result<(), SqlError> {
        use AlterTableOperation as A;
        match operation {
            A::AddColumn { column_def, column_position: None, .. } => self.define(column_def),
            A::DropColumn { drop_behavior, .. } | A::DropConstraint { drop_behavior, .. } => {
                restricted(*drop_behavior)
            }
            A::RenameColumn { .. } | A::RenameConstraint { .. } => Ok(()),
            A::AlterColumn { op, .. } => match op {
                AlterColumnOperation::SetNotNull
                | AlterColumnOperation::DropNotNull
                | AlterColumnOperation::DropDefault => Ok(()),
                AlterColumnOperation::SetDefault { value } => self.expression(value),
                AlterColumnOperation::SetDataType { data_type, using, .. } => {
                    *data_type = collated(data_type)?;
                    using.iter_mut().try_for_each(|using| self.expression(using))
                }
                AlterColumnOperation::AddGenerated { .. } => {
                    Err(SqlError::forbidden("a contract knows no generated columns"))
                }
            },
            A::AddConstraint { constraint, not_valid: false } => constrain(constraint, reach),
            A::AddConstraint { not_valid: true, .. } => {
                Err(SqlError::forbidden("NOT VALID leaves rows that nobody has looked at"))
            }
            A::RenameTable { .. } => Err(SqlError::forbidden("a table keeps its name")),
            _ => Err(SqlError::forbidden(
                "a table is altered by its columns, its key and its foreign keys, and by nothing else",
            )),
        }
    }

    fn define(&mut self, column: &mut ColumnDef) -> Result<(), SqlError> {
        let ColumnDef { name: _, data_type, options } = column;
        options.retain(|option| !matches!(&option.option, ColumnOption::Collation(name) if is_c(name)));
        *data_type = collated(data_type)?;
        options.iter_mut().try_for_each(|option| match &mut option.option {
            ColumnOption::Null | ColumnOption::NotNull => Ok(()),
            ColumnOption::Default(value) => self.expression(value),
            _ => Err(SqlError::forbidden(
                "a column has a type, may be NOT NULL, and may have a DEFAULT for a while",
            )),
        })
    }

    fn insert(&mut self, insert: &mut Insert, reach: &Reach<'_>) -> Result<(), SqlError> {
        let TableObject::TableName(name) = &mut insert.table else {
            return Err(SqlError::forbidden("rows are inserted into the table of this revision"));
        };
        reach.own(name, "writes to")?;
        let plain = insert.into
            && insert.optimizer_hints.is_empty()
            && insert.or.is_none()
            && !insert.ignore
            && insert.table_alias.is_none()
            && !insert.overwrite
            && insert.assignments.is_empty()
            && insert.partitioned.is_none()
            && insert.after_columns.is_empty()
            && !insert.has_table_keyword
            && insert.output.is_none()
            && !insert.replace_into
            && insert.priority.is_none()
            && insert.insert_alias.is_none()
            && insert.settings.is_none()
            && insert.format_clause.is_none()
            && insert.multi_table_insert_type.is_none()
            && insert.multi_table_into_clauses.is_empty()
            && insert.multi_table_when_clauses.is_empty()
            && insert.multi_table_else_clause.is_none();
        plainly(plain, "INSERT", ())?;
        if insert.on.is_some() {
            return Err(SqlError::forbidden("ON CONFLICT is not understood: say by WHERE which rows come"));
        }
        nothing_returned(insert.returning.is_none())?;
        match &mut insert.source {
            Some(query) => self.query(query),
            None => Err(SqlError::forbidden("INSERT takes VALUES or a query")),
        }
    }

    fn update(&mut self, update: &mut Update, reach: &Reach<'_>) -> Result<(), SqlError> {
        changed(&mut update.table, reach, "writes to")?;
        let plain = update.optimizer_hints.is_empty()
            && update.output.is_none()
            && update.or.is_none()
            && update.order_by.is_empty()
            && update.limit.is_none();
        plainly(plain, "UPDATE", ())?;
        nothing_returned(update.returning.is_none())?;
        for Assignment { target, value } in &mut update.assignments {
            plainly(matches!(target, AssignmentTarget::ColumnName(name) if name.0.len() == 1), "SET", ())?;
            self.expression(value)?;
        }
        match &mut update.from {
            None => {}
            Some(UpdateTableFromKind::AfterSet(tables)) => {
                tables.iter_mut().try_for_each(|table| self.tables(table))?;
            }
            Some(UpdateTableFromKind::BeforeSet(_)) => plainly(false, "UPDATE", ())?,
        }
        update.selection.iter_mut().try_for_each(|condition| self.condition(condition))
    }

    fn delete(&mut self, delete: &mut Delete, reach: &Reach<'_>) -> Result<(), SqlError> {
        let FromTable::WithFromKeyword(from) = &mut delete.from else {
            return plainly(false, "DELETE", ());
        };
        let [table] = from.as_mut_slice() else { return plainly(false, "DELETE", ()) };
        changed(table, reach, "deletes from")?;
        let plain = delete.optimizer_hints.is_empty()
            && delete.tables.is_empty()
            && delete.output.is_none()
            && delete.order_by.is_empty()
            && delete.limit.is_none();
        plainly(plain, "DELETE", ())?;
        nothing_returned(delete.returning.is_none())?;
        delete.using.iter_mut().flatten().try_for_each(|table| self.tables(table))?;
        delete.selection.iter_mut().try_for_each(|condition| self.condition(condition))
    }
}

fn nothing_returned(nothing: bool) -> Result<(), SqlError> {
    if nothing { Ok(()) } else { Err(SqlError::forbidden("it answers rows, and nobody would read them")) }
}

/// The table that UPDATE or DELETE changes.
fn changed(table: &mut TableWithJoins, reach: &Reach<'_>, verb: &str) -> Result<(), SqlError> {
    let TableWithJoins { relation, joins } = table;
    match relation {
        TableFactor::Table {
            name,
            alias: _,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } if joins.is_empty() && with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty() => {
            reach.own(name, verb)
        }
        _ => plainly(false, "the table that is changed", ()),
    }
}

fn constrain(constraint: &mut TableConstraint, reach: &Reach<'_>) -> Result<(), SqlError> {
    match constraint {
        TableConstraint::PrimaryKey(key) => {
            let plain = key.index_name.is_none()
                && key.index_type.is_none()
                && key.include.is_empty()
                && key.index_options.is_empty()
                && key.characteristics.is_none()
                && key.columns.iter().all(|column| column.operator_class.is_none());
            plainly(plain, "PRIMARY KEY", ())
        }
        TableConstraint::ForeignKey(key) => {
            let plain = key.index_name.is_none()
                && key.on_update.is_none()
                && key.match_kind.is_none()
                && key.characteristics.is_none();
            plainly(plain, "FOREIGN KEY", ())?;
            place(&mut key.foreign_table, |table| reach.reads(table), "refers to")
        }
        _ => Err(SqlError::forbidden("a contract knows no constraint but its key and its foreign keys")),
    }
}

/// Write a table with its schema, where it may be named.
fn place(name: &mut ObjectName, may: impl Fn(&str) -> bool, verb: &str) -> Result<(), SqlError> {
    let table = match name.0.as_slice() {
        [ObjectNamePart::Identifier(table)] => Some(folded(table)),
        [ObjectNamePart::Identifier(schema), ObjectNamePart::Identifier(table)]
            if folded(schema) == SCHEMA =>
        {
            Some(folded(table))
        }
        _ => None,
    };
    match table {
        Some(table) if may(&table) => {
            let parts = [Ident::new(SCHEMA), quoted(&table)];
            *name = ObjectName(parts.into_iter().map(ObjectNamePart::Identifier).collect());
            Ok(())
        }
        _ => Err(SqlError::forbidden(format!("it {verb} `{name}`, which is not the table of this revision"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(sql: &str) -> Result<String, String> {
        let contract = Contract::from_toml(
            r#"
            identifier = "rates"
            physical_name = "r"
            index = ["time_index", "currency"]
            columns = [
                { name = "time_index", type = "timestamp_tz" }, { name = "currency", type = "string" },
                { name = "rate", type = "float64", nullable = true },
            ]"#,
        )
        .unwrap();
        let read = ["currencies".to_owned()];
        check_revision(sql, &Reach { contract: &contract, read: &read }).map_err(|error| error.message)
    }

    #[test]
    fn what_a_table_needs_is_written_anew() {
        let statements = [
            "alter table R rename column rate to \"price\"",
            "ALTER TABLE datanode_tables.\"r\" ALTER COLUMN rate TYPE text COLLATE \"C\" USING rate::text /* why */, ALTER rate SET NOT NULL",
            "ALTER TABLE r ADD COLUMN note text COLLATE \"C\", ADD n numeric(9,2) NOT NULL DEFAULT 1",
            "ALTER TABLE r ALTER rate TYPE timestamp with time zone USING (rate::date)::timestamp AT TIME ZONE 'UTC'",
            "ALTER TABLE r ALTER rate SET DEFAULT 1, ALTER rate DROP DEFAULT, DROP COLUMN rate, DROP CONSTRAINT r_pkey",
            "ALTER TABLE r ADD CONSTRAINT k PRIMARY KEY (time_index), ADD FOREIGN KEY (currency) REFERENCES currencies (id) ON DELETE RESTRICT",
            "UPDATE r SET rate = CASE WHEN currency = 'USD' THEN 855 END FROM currencies AS c WHERE c.id = r.currency",
            "DELETE FROM r USING currencies c WHERE NOT EXISTS (SELECT 1 FROM datanode_tables.currencies WHERE id = c.id)",
            "INSERT INTO r (time_index, currency) WITH x AS (SELECT * FROM r) SELECT time_index, upper(currency) FROM x",
            "INSERT INTO r VALUES (timestamp '2020-01-01', 'it''s', encode(decode('00', 'hex'), 'hex')::uuid)",
        ];
        let written: Vec<String> = statements.iter().map(|sql| judged(sql).unwrap()).collect();
        insta::assert_snapshot!(written.join("\n"));
        for sql in &written {
            assert_eq!(judged(sql).as_ref(), Ok(sql), "what was written reads as it was meant");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        let statements = [
            "ALTER TABLE currencies DROP COLUMN id",
            "ALTER TABLE public.r DROP COLUMN rate",
            "ALTER TABLE datanode.nodes DROP COLUMN uid",
            "ALTER TABLE r RENAME TO x",
            "ALTER TABLE r OWNER TO postgres",
            "ALTER TABLE r DISABLE TRIGGER ALL",
            "ALTER TABLE r DISABLE ROW LEVEL SECURITY",
            "ALTER TABLE r DROP COLUMN rate CASCADE",
            "ALTER TABLE r ADD CHECK (rate > 0)",
            "ALTER TABLE r ADD UNIQUE (rate)",
            "ALTER TABLE r ADD COLUMN x serial",
            "ALTER TABLE r ADD COLUMN x text COLLATE \"de_DE\"",
            "ALTER TABLE r ALTER rate TYPE text COLLATE \"de_DE\"",
            "ALTER TABLE r ADD COLUMN x int GENERATED ALWAYS AS IDENTITY",
            "ALTER TABLE r ADD FOREIGN KEY (rate) REFERENCES nodes (uid)",
            "ALTER TABLE r ADD FOREIGN KEY (rate) REFERENCES currencies (id) NOT VALID",
            "ALTER TABLE r ALTER rate TYPE text USING pg_read_file('/etc/passwd')",
            "UPDATE datanode.tables SET epoch = 7",
            "UPDATE currencies SET id = 1",
            "UPDATE r SET rate = pg_sleep(1000)",
            "UPDATE r SET rate = 1 RETURNING rate",
            "UPDATE r SET rate = (SELECT 1 FROM nodes)",
            "UPDATE r SET rate = (WITH RECURSIVE x AS (SELECT 1 UNION ALL SELECT * FROM x) SELECT 1 FROM x)",
            "DELETE FROM r WHERE set_config('role', 'x', false) = ''",
            "DELETE FROM r USING generate_series(1, 10) AS g",
            "DELETE FROM r, currencies",
            "INSERT INTO r SELECT * FROM pg_shadow",
            "INSERT INTO r DEFAULT VALUES",
            "INSERT INTO r VALUES (1) ON CONFLICT DO NOTHING",
            "WITH x AS (DELETE FROM currencies RETURNING *) INSERT INTO r SELECT * FROM x",
            "INSERT INTO r WITH x AS (DELETE FROM currencies RETURNING *) SELECT * FROM x",
            "CREATE TABLE x (y int)",
            "CREATE TABLE x AS SELECT * FROM r",
            "DROP TABLE r",
            "TRUNCATE r",
            "CREATE INDEX i ON r (rate)",
            "CREATE VIEW v AS SELECT 1",
            "CREATE EXTENSION dblink",
            "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "DO $$ BEGIN DELETE FROM datanode.nodes; END $$",
            "CALL f()",
            "COPY r TO PROGRAM 'id'",
            "COPY r FROM '/etc/passwd'",
            "SET ROLE postgres",
            "GRANT ALL ON r TO public",
            "LOCK TABLE datanode.nodes",
            "VACUUM r",
            "LISTEN x",
            "COMMIT",
            "ROLLBACK",
            "SAVEPOINT s",
            "SELECT 1",
            "UPDATE r SET rate = 1; DROP TABLE currencies",
        ];
        let said: Vec<String> =
            statements.iter().map(|sql| format!("{sql}\n  {}", judged(sql).expect_err(sql))).collect();
        insta::assert_snapshot!(said.join("\n"));
    }
}
