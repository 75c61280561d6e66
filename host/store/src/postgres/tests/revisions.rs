//! What a revision did elsewhere is seen by the database too, and not by its statements alone.

use datanode_core::data_type::DataType;
use sqlx::{AssertSqlSafe, Connection};

use super::Place;
use super::support::contract;
use crate::postgres::revision::guard::Others;

/// The statements that are judged before they run, here unjudged.
#[tokio::test]
async fn what_is_done_elsewhere_is_seen_whoever_judges_the_statements() {
    let place = Place::new().await;
    place.register(&contract("own", &[("asset", DataType::String)])).await;
    place.register(&contract("other", &[("asset", DataType::String)])).await;
    place.execute("INSERT INTO datanode_tables.other VALUES (now(), 'a', 1)").await;
    let own = "INSERT INTO datanode_tables.own VALUES (now(), 'a', 1); \
               ALTER TABLE datanode_tables.own ALTER COLUMN value TYPE text USING value::text, ADD COLUMN x int; \
               ALTER TABLE datanode_tables.own DROP CONSTRAINT own_pkey; \
               ALTER TABLE datanode_tables.own ADD CONSTRAINT own_pkey PRIMARY KEY (asset, time_index); \
               DELETE FROM datanode_tables.own";
    let elsewhere = [
        ("DELETE FROM datanode_tables.other", "datanode_tables.other"),
        ("UPDATE datanode.tables SET epoch = 7", "datanode.tables"),
        ("TRUNCATE datanode_tables.other", "datanode_tables.other"),
        ("DROP TABLE datanode_tables.other", "datanode_tables.other"),
        ("CREATE TABLE datanode_tables.new (x int)", "datanode_tables.new"),
        ("ALTER TABLE datanode.nodes ADD COLUMN x int", "datanode.nodes"),
        ("GRANT SELECT ON datanode.nodes TO public", "datanode.nodes"),
        ("CREATE INDEX i ON datanode_tables.other (value)", "datanode_tables.i"),
        ("CREATE TABLE public.x (y int); INSERT INTO public.x VALUES (1)", "public.x"),
        ("CREATE TEMP TABLE x (y int); INSERT INTO x VALUES (1)", ".x"),
    ];
    let mut connection = place.pool.acquire().await.unwrap();
    for (statement, named) in elsewhere.into_iter().chain([("SELECT 1", "")]) {
        let mut transaction = connection.begin().await.unwrap();
        let before = Others::read(&mut transaction, "own").await.unwrap();
        let sql = format!("{own}; {statement}");
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
        let (mut said, written) = Others::read(&mut transaction, "own").await.unwrap().since(&before);
        said.extend(written.into_iter().map(|((schema, name), _)| format!("{schema}.{name}")));
        if named.is_empty() {
            assert_eq!(said, [""; 0], "what is done to the table itself is nobody else's");
        } else {
            assert!(said.iter().any(|said| said.contains(named)), "{statement}: {said:?}");
        }
        transaction.rollback().await.unwrap();
    }
}
