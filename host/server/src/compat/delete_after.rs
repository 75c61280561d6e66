//! Tail deletes: rows of a scope from a moment on.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use datanode_core::Timestamp;
use datanode_core::access::Action;
use datanode_core::contract::{Contract, TableKind};
use datanode_core::coordinate::CoordinateValue;
use datanode_core::query::{CoordinateRange, MAX_QUERY_ENTRIES, ReadQuery};
use datanode_store::{DeleteAfter, DeleteScope};
use serde_json::{Map, Value, json};

use super::catalogue::by_uid;
use super::error::{CompatError, refuse};
use super::parameters::object;
use super::read::{query_problem, stats_of};
use super::registering::Root;
use super::scope::{Partial, SCOPE_FIELDS, Scopes, moment};
use crate::auth::Caller;
use crate::input::Place;
use crate::{AppState, Problem};

/// What a delete may say beside its scopes.
const AFTER: &str = "after_date";
/// The first moment that there is: from there on, all rows go.
const FIRST_MICROS: i64 = i64::MIN;

/// `POST dynamic_table/<uid>/delete_after_date/`. The same again deletes nothing more.
pub(crate) async fn delete(
    State(state): State<AppState>,
    caller: Caller,
    root: Root,
    Place(uid): Place<String>,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let body = object(body).await?;
    let host = caller.host(&state);
    let table = by_uid(&caller, &host, root, &uid, Action::EditTable).await?;
    let deletes = deletes(&table.contract, &body).map_err(refuse)?;
    for (_, scope) in &deletes {
        check(&table.contract, scope)?;
    }
    let (mut rows, mut last) = (0, None);
    for (after, scope) in deletes {
        let delete = DeleteAfter { table_uid: table.uid.clone(), after, scope };
        let deleted = host.store().delete_after(&delete).await?;
        rows += deleted.rows;
        last = Some(deleted.progress);
    }
    let progress = match last {
        Some(progress) => progress,
        // The scopes leave nothing that could be deleted.
        None => host.store().snapshot().await?.progress(&table).await?,
    };
    Ok(Json(json!({
        "ok": true,
        "meta_table_uid": table.uid,
        "deleted_count": rows,
        "table_empty": progress.is_empty(),
        "after_date": body.get(AFTER),
        "dimension_filters": body.get("dimension_filters"),
        "index_coordinates": body.get("index_coordinates"),
        "dimension_range_map": body.get("dimension_range_map"),
        "stats": stats_of(&table.contract, &progress),
    })))
}

/// The store takes checked scopes.
fn check(contract: &Contract, scope: &DeleteScope) -> Result<(), Problem> {
    let query = match scope {
        DeleteScope::All => ReadQuery::default(),
        DeleteScope::DimensionFilters(filters) => {
            ReadQuery { dimension_filters: filters.clone(), ..ReadQuery::default() }
        }
        DeleteScope::IndexCoordinates(coordinates) => {
            ReadQuery { index_coordinates: coordinates.clone(), ..ReadQuery::default() }
        }
    };
    query.check(contract).map_err(|error| query_problem(&error))
}

/// What is to be deleted: from a moment on, each in a transaction of its own. There are several where a range map says
/// several moments.
fn deletes(
    contract: &Contract,
    body: &Map<String, Value>,
) -> Result<Vec<(Timestamp, DeleteScope)>, CompatError> {
    if contract.kind != TableKind::TimeIndexed {
        let problem =
            format!("table `{}` is a plain table: it has no time, so it has no tail", contract.identifier);
        return Err(CompatError::Table(problem));
    }
    let known = |key: &String| key == AFTER || SCOPE_FIELDS.contains(&key.as_str());
    if let Some(unknown) = body.keys().find(|key| !known(key)) {
        return Err(CompatError::field(unknown.as_str(), "there is no such field here; a tail has no end"));
    }
    let Some(given) = body.get(AFTER) else {
        return Err(CompatError::field(AFTER, "it is missing; null means all rows of a scope"));
    };
    let after = moment(AFTER, Some(given))?;
    let scopes = Scopes::of(contract, body)?;
    refuse_empty(&scopes)?;
    let Scopes { filters, coordinates, ranges } = scopes;
    if after.is_none() && filters.is_none() && coordinates.is_none() && ranges.is_none() {
        return Err(CompatError::EmptyScope {
            field: AFTER,
            problem: "all rows of a whole table are not deleted so: say a date, or a scope",
        });
    }
    let first = Timestamp::nearest_micros(FIRST_MICROS);
    let after = after.unwrap_or(first);
    if let Some(ranges) = ranges {
        return by_range(contract, after, &ranges, filters.as_deref(), coordinates.as_deref());
    }
    let scope = match (filters, coordinates) {
        (None, None) => DeleteScope::All,
        (Some(filters), None) => DeleteScope::DimensionFilters(filters),
        (None, Some(coordinates)) => DeleteScope::IndexCoordinates(coordinates),
        (Some(filters), Some(coordinates)) => DeleteScope::IndexCoordinates(both(&filters, coordinates)?),
    };
    let nothing = matches!(&scope, DeleteScope::IndexCoordinates(coordinates) if coordinates.is_empty());
    Ok(if nothing { Vec::new() } else { vec![(after, scope)] })
}

/// An empty scope must not mean everything, and whoever means nothing need not ask.
fn refuse_empty(scopes: &Scopes) -> Result<(), CompatError> {
    const PROBLEM: &str = "leave it out to delete from all coordinates, or say which";
    let empty = |field| Err(CompatError::EmptyScope { field, problem: PROBLEM });
    let filters = scopes.filters.as_ref();
    if filters
        .is_some_and(|filters| filters.is_empty() || filters.iter().any(|(_, values)| values.is_empty()))
    {
        return empty("dimension_filters");
    }
    let coordinates = scopes.coordinates.as_ref();
    if coordinates.is_some_and(|all| all.is_empty() || all.iter().any(Vec::is_empty)) {
        return empty("index_coordinates");
    }
    if scopes.ranges.as_ref().is_some_and(Vec::is_empty) {
        return empty("dimension_range_map");
    }
    Ok(())
}

/// Partial coordinates that filters leave, each narrowed by them.
fn both(
    filters: &[(String, Vec<CoordinateValue>)],
    coordinates: Vec<Partial>,
) -> Result<Vec<Partial>, CompatError> {
    let mut narrowed: Vec<Partial> = coordinates;
    for (dimension, values) in filters {
        let mut next = Vec::new();
        for partial in narrowed {
            match partial.iter().find(|(name, _)| name == dimension) {
                Some((_, value)) if values.contains(value) => next.push(partial),
                Some(_) => {}
                None => next.extend(values.iter().map(|value| {
                    let mut longer = partial.clone();
                    longer.push((dimension.clone(), value.clone()));
                    longer
                })),
            }
            if next.len() > MAX_QUERY_ENTRIES {
                return Err(CompatError::Body(format!(
                    "the scopes make more than {MAX_QUERY_ENTRIES} coordinates"
                )));
            }
        }
        narrowed = next;
    }
    Ok(narrowed)
}

/// The coordinates of a range map, by the moment from which their rows go: that of the map, but not before `after`.
fn by_range(
    contract: &Contract,
    after: Timestamp,
    ranges: &[CoordinateRange],
    filters: Option<&[(String, Vec<CoordinateValue>)]>,
    coordinates: Option<&[Partial]>,
) -> Result<Vec<(Timestamp, DeleteScope)>, CompatError> {
    let dimensions = contract.dimensions();
    let mut by_moment: BTreeMap<Timestamp, Vec<Partial>> = BTreeMap::new();
    for (at, entry) in ranges.iter().enumerate() {
        if entry.range.end.is_some() {
            let place = format!("dimension_range_map[{at}].end_date");
            return Err(CompatError::field(place, "a tail has no end: everything behind the date goes"));
        }
        let whole: Partial = dimensions.iter().cloned().zip(entry.coordinate.0.iter().cloned()).collect();
        let has = |(name, value): &(String, CoordinateValue)| {
            whole.iter().any(|own| own.0 == *name && own.1 == *value)
        };
        let filtered = filters.is_none_or(|filters| {
            filters
                .iter()
                .all(|(name, values)| values.iter().any(|value| has(&(name.clone(), value.clone()))))
        });
        let listed = coordinates.is_none_or(|all| all.iter().any(|partial| partial.iter().all(has)));
        if filtered && listed {
            let (start, _) = entry.range.inclusive_micros();
            let from = after.max(Timestamp::nearest_micros(start));
            by_moment.entry(from).or_default().push(whole);
        }
    }
    let scope = |coordinates: Vec<Partial>| {
        // Of a table without identity dimensions, the one coordinate is the whole table.
        if dimensions.is_empty() { DeleteScope::All } else { DeleteScope::IndexCoordinates(coordinates) }
    };
    Ok(by_moment.into_iter().map(|(from, coordinates)| (from, scope(coordinates))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        Contract::from_toml(
            "identifier = \"t\"\nindex = [\"time_index\", \"name\", \"id\"]\ncolumns = [\
             { name = \"time_index\", type = \"timestamp_tz\" }, { name = \"name\", type = \"string\" }, \
             { name = \"id\", type = \"int16\" }, { name = \"value\", type = \"float64\" }]",
        )
        .unwrap()
    }

    #[allow(clippy::needless_pass_by_value)] // as `json!` makes it
    fn read(body: Value) -> Result<Vec<(Timestamp, DeleteScope)>, CompatError> {
        deletes(&contract(), body.as_object().unwrap())
    }

    const DATE: &str = "2026-04-01T00:00:00+00:00";

    #[test]
    fn every_shape_of_a_scope_is_read() {
        let date: Timestamp = DATE.parse().unwrap();
        let text = |text: &str| CoordinateValue::Text(text.to_owned());
        let all = read(json!({"after_date": DATE})).unwrap();
        assert_eq!(all, [(date, DeleteScope::All)]);
        let filtered = read(json!({"after_date": DATE, "dimension_filters": {"name": ["a", "b"]}})).unwrap();
        let filters = vec![("name".to_owned(), vec![text("a"), text("b")])];
        assert_eq!(filtered, [(date, DeleteScope::DimensionFilters(filters))]);
        let both = read(
            json!({"after_date": DATE, "dimension_filters": {"name": ["a", "b"]}, "index_coordinates": [{"id": "1"}, {"name": "c"}]}),
        );
        let one =
            |name: &str| vec![("id".to_owned(), CoordinateValue::Int(1)), ("name".to_owned(), text(name))];
        assert_eq!(both.unwrap(), [(date, DeleteScope::IndexCoordinates(vec![one("a"), one("b")]))]);
        let none = read(
            json!({"after_date": DATE, "dimension_filters": {"name": "a"}, "index_coordinates": [{"name": "c"}]}),
        );
        assert_eq!(none, Ok(Vec::new()));
        let whole = read(json!({"after_date": null, "dimension_filters": {"name": ["a"]}})).unwrap();
        assert_eq!(whole[0].0.to_string(), "0001-01-01T00:00:00.000000Z");
    }

    #[test]
    fn a_range_map_says_from_when_on_for_each_coordinate() {
        let entry = |name: &str, start: Value, operand: &str| json!({"coordinate": {"name": name, "id": 1}, "start_date": start, "start_date_operand": operand});
        let map = json!([
            entry("a", json!("2026-05-01"), ">="),
            entry("b", json!("2026-05-01"), ">"),
            entry("c", json!(0), ">="),
            entry("d", Value::Null, ">="),
        ]);
        let read = read(json!({"after_date": DATE, "dimension_range_map": map})).unwrap();
        let shown: Vec<String> = read
            .iter()
            .map(|(from, scope)| match scope {
                DeleteScope::IndexCoordinates(all) => format!("{from}: {}", all.len()),
                other => format!("{from}: {other:?}"),
            })
            .collect();
        assert_eq!(
            shown,
            [
                "2026-04-01T00:00:00.000000Z: 2",
                "2026-05-01T00:00:00.000000Z: 1",
                "2026-05-01T00:00:00.000001Z: 1"
            ]
        );
    }

    #[test]
    fn empty_scopes_and_ends_are_refused() {
        let entry = json!({"coordinate": {"name": "a", "id": 1}, "end_date": DATE});
        for wrong in [
            json!({}),
            json!({"after_date": null}),
            json!({"after_date": "soon"}),
            json!({"after_date": DATE, "end_date": DATE}),
            json!({"after_date": DATE, "dimension_filters": {}}),
            json!({"after_date": DATE, "dimension_filters": {"name": []}}),
            json!({"after_date": DATE, "index_coordinates": []}),
            json!({"after_date": DATE, "index_coordinates": [{}]}),
            json!({"after_date": DATE, "dimension_range_map": []}),
            json!({"after_date": DATE, "dimension_range_map": [entry]}),
            json!({"after_date": null, "dimension_filters": null}),
            json!({"after_date": null, "dimension_filters": {}}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
