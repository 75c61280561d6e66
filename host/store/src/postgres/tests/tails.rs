//! Tail deletes and what they leave of the progress.

use datanode_core::contract::Contract;
use datanode_core::coordinate::{Coordinate, CoordinateValue};
use datanode_core::data_type::DataType;
use proptest::prelude::*;
use uuid::Uuid;

use super::Place;
use super::support::{Model, at, contract, progress, runner, text};
use crate::postgres::tail_delete::{delete_after, verify_progress};
use crate::{DeleteAfter, DeleteScope, Deleted, StoreError, Table};

async fn delete(place: &Place, table: &Table, after: i64, scope: DeleteScope) -> Result<Deleted, StoreError> {
    let mut transaction = place.pool.begin().await.unwrap();
    let delete = DeleteAfter { table_uid: table.uid.clone(), after: at(after), scope };
    let deleted = delete_after(&mut transaction, &delete).await?;
    transaction.commit().await.unwrap();
    Ok(deleted)
}

fn coordinate() -> impl Strategy<Value = Coordinate> {
    let bits = (0..2_u128).prop_map(|bits| CoordinateValue::Uuid(Uuid::from_u128(bits)));
    ("[ab']", bits).prop_map(|(name, id)| Coordinate(vec![text(&name), id]))
}

fn scope() -> impl Strategy<Value = DeleteScope> {
    let partial = (coordinate(), any::<bool>()).prop_map(|(coordinate, whole)| {
        let named = ["name", "id"].map(str::to_owned).into_iter().zip(coordinate.0);
        named.take(1 + usize::from(whole)).collect::<Vec<_>>()
    });
    prop_oneof![
        Just(DeleteScope::All),
        prop::collection::vec("[ab']".prop_map(|name| text(&name)), 0..3)
            .prop_map(|names| DeleteScope::DimensionFilters(vec![("name".to_owned(), names)])),
        prop::collection::vec(partial, 0..3).prop_map(DeleteScope::IndexCoordinates),
    ]
}

fn in_scope(scope: &DeleteScope, coordinate: &Coordinate) -> bool {
    let is = |name: &String, value: &CoordinateValue| coordinate.0[usize::from(name == "id")] == *value;
    match scope {
        DeleteScope::All => true,
        DeleteScope::DimensionFilters(filters) => {
            filters.iter().all(|(name, values)| values.iter().any(|value| is(name, value)))
        }
        DeleteScope::IndexCoordinates(partials) => {
            partials.iter().any(|partial| partial.iter().all(|(name, value)| is(name, value)))
        }
    }
}

#[test]
fn progress_after_any_deletes_is_that_of_the_rows() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    let rows = prop::collection::btree_set((0..12_i64, coordinate()), 0..40);
    let cases = (rows, prop::collection::vec((-1..14_i64, scope()), 1..5));
    runner(48)
        .run(&cases, |(keys, deletes)| {
            let name = format!("t{}", Uuid::new_v4().simple());
            runtime.block_on(async {
                let shape = contract(&name, &[("name", DataType::String), ("id", DataType::Uuid)]);
                let table = place.register(&shape).await;
                let mut model: Model = keys.into_iter().map(|key| (key, None)).collect();
                let mut epoch = place.fill(&table, &name, &model).await.epoch;
                for (after, scope) in deletes {
                    let before = model.len();
                    model.retain(|(time, coordinate), _| *time < after || !in_scope(&scope, coordinate));
                    let deleted = delete(&place, &table, after, scope).await.unwrap();
                    prop_assert_eq!(deleted.rows, (before - model.len()) as u64);
                    epoch += i64::from(deleted.rows > 0 || !deleted.reopened.is_empty());
                    prop_assert_eq!(deleted.table.epoch, epoch);
                    prop_assert_eq!(deleted.progress, progress(model.keys()));
                    let left: Vec<_> = model.clone().into_iter().collect();
                    prop_assert_eq!(place.read(&table).await, left);
                    let mut connection = place.pool.acquire().await.unwrap();
                    prop_assert_eq!(verify_progress(&mut connection, &table.uid).await.unwrap(), []);
                }
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn a_table_without_dimensions_and_a_table_without_time() {
    let place = Place::new().await;
    let table = place.register(&contract("one", &[])).await;
    let model: Model = (0..10).map(|time| ((time, Coordinate::default()), None)).collect();
    place.fill(&table, "r", &model).await;
    let deleted = delete(&place, &table, 4, DeleteScope::All).await.unwrap();
    assert_eq!((deleted.rows, deleted.progress.rows(), deleted.progress.max_time()), (6, 4, Some(at(3))));
    let deleted = delete(&place, &table, 0, DeleteScope::All).await.unwrap();
    assert_eq!((deleted.rows, deleted.progress.is_empty()), (4, true));
    let mut connection = place.pool.acquire().await.unwrap();
    assert_eq!(verify_progress(&mut connection, &table.uid).await.unwrap(), []);
    let reference = Contract::from_toml(
        "identifier = \"r\"\nkind = \"reference\"\nprimary_key = [\"id\"]\ncolumns = [{ name = \"id\", type = \"int64\" }]",
    )
    .unwrap();
    let reference = place.register(&reference).await;
    let error = delete(&place, &reference, 0, DeleteScope::All).await.unwrap_err();
    assert!(matches!(error, StoreError::NoTail { .. }), "{error}");
}

#[tokio::test]
async fn progress_that_is_wrong_is_told() {
    let place = Place::new().await;
    let table = place.register(&contract("t", &[("name", DataType::String)])).await;
    let of = |name: &str| Coordinate(vec![text(name)]);
    let model: Model =
        [((1, of("a")), None), ((2, of("a")), None), ((1, of("b")), None)].into_iter().collect();
    place.fill(&table, "r", &model).await;
    place
        .execute(
            "DELETE FROM datanode_tables.t WHERE name = 'a' AND value IS NULL AND time_index < timestamptz 'epoch' + interval '2 microseconds'; \
             DELETE FROM datanode.progress WHERE coordinate = '[\"b\"]'",
        )
        .await;
    let mut connection = place.pool.acquire().await.unwrap();
    let found = verify_progress(&mut connection, &table.uid).await.unwrap();
    let told: Vec<_> = found
        .iter()
        .map(|difference| {
            let rows =
                |progress: Option<datanode_core::progress::CoordinateProgress>| progress.map(|of| of.rows);
            (difference.coordinate.clone(), rows(difference.kept), rows(difference.counted))
        })
        .collect();
    assert_eq!(told, [(of("a"), Some(2), Some(1)), (of("b"), None, Some(1))]);
}
