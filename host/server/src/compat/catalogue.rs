//! Tables for that client: which are meant, and how they are told.

use std::collections::{HashMap, HashSet};

use axum::extract::FromRequestParts;
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use datanode_core::access::Action;
use datanode_core::contract::TableKind;
use datanode_core::progress::Progress;
use datanode_core::search::{Fact, Facts, Field, Filters, Page, PageRequest};
use datanode_runtime::Host;
use datanode_store::{DescribedTable, ListedTable, Listing, Store, StoreError, Table};
use serde_json::{Value, json};

use super::parameters::Parameters;
use super::registering::Root;
use super::statistics::MAX_TOLD;
use super::table::{self, Form, SOURCE_ID, Surroundings, Target};
use crate::auth::Caller;
use crate::settings::ServerSettings;
use crate::{AppState, Problem};

/// Under which all of it is, but for people.
pub(crate) const ROOT: &str = "/orm/api/ts_manager";
/// The path of plain tables.
const META_TABLE: &str = "/orm/api/ts_manager/meta_table/";

impl Root {
    /// The form in which tables are told there.
    pub(crate) fn form(self) -> Form {
        match self {
            Self::TimeIndexed => Form::TimeIndexed,
            Self::Any => Form::Plain,
        }
    }

    /// Whether a table of this kind is there.
    pub(crate) fn has(self, kind: TableKind) -> bool {
        self == Self::Any || kind == TableKind::TimeIndexed
    }
}

impl FromRequestParts<AppState> for Root {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        Ok(if parts.uri.path().starts_with(META_TABLE) { Self::Any } else { Self::TimeIndexed })
    }
}

/// A table of a list, as filters ask for it.
struct Listed<'t> {
    table: &'t ListedTable,
    source: &'t str,
}

impl Facts for Listed<'_> {
    fn fact(&self, field: Field) -> Fact<'_> {
        match field {
            Field::Uid => Fact::Text(&self.table.uid),
            Field::Identifier => Fact::Text(self.table.published_identifier()),
            Field::Namespace => self.table.published_namespace().map_or(Fact::Absent, Fact::Text),
            Field::PhysicalSchema => Fact::Text(self.table.schema()),
            Field::PhysicalTableName => Fact::Text(&self.table.physical_name),
            Field::Labels => Fact::Texts(&self.table.labels),
            Field::DataSourceUid => Fact::Text(self.source),
            Field::DataSourceId => Fact::Number(SOURCE_ID),
            Field::ManagementMode => Fact::Text("platform_managed"),
            Field::ProvisioningStatus => Fact::Text("active"),
            Field::SchemaManagementMode => Fact::Text("backend_managed"),
            Field::MigrationProviderKey => Fact::Absent,
        }
    }
}

/// Whether a table of a list has what filters want.
pub(crate) fn holds(filters: &Filters, table: &ListedTable, source: &str) -> bool {
    filters.hold(&Listed { table, source })
}

/// Parameters of a list that are no filters.
const PAGING: [&str; 2] = ["limit", "offset"];

/// Which page is wanted.
pub(crate) fn page_of(parameters: &Parameters) -> Result<PageRequest, Problem> {
    let number = |name| parameters.number(name).map_err(super::error::CompatError::problem);
    let ordinary = PageRequest::default();
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let request = PageRequest {
        offset: number("offset")?.map_or(ordinary.offset, size),
        limit: number("limit")?.map_or(ordinary.limit, size),
    };
    Ok(request.check()?)
}

/// What the other parameters want; `but` are those that are no filters.
pub(crate) fn filters_of(parameters: &Parameters, but: &[&str]) -> Result<Filters, Problem> {
    let is_filter = |name: &str| !PAGING.contains(&name) && !but.contains(&name);
    let mut pairs: Vec<(&str, &str)> = parameters.pairs().filter(|(name, _)| is_filter(name)).collect();
    if !parameters.are_whole() {
        return Ok(Filters::parse(pairs)?);
    }
    pairs.sort_by_key(|(name, _)| *name);
    let mut filters = Filters::none();
    for same in pairs.chunk_by(|one, other| one.0 == other.0) {
        let values = same.iter().map(|(_, value)| (*value).to_owned()).collect();
        if let Some((name, _)) = same.first() {
            filters = filters.and(name, values)?;
        }
    }
    Ok(filters)
}

/// What an index of the catalogue can answer of the parameters.
fn listing_of(parameters: &Parameters) -> Listing {
    let last = |name: &str| parameters.last(name).map(ToOwned::to_owned);
    let uid = last("uid").map(Listing::Uid);
    let identifier = || last("identifier").map(Listing::Identifier);
    let physical = || last("physical_table_name").map(Listing::PhysicalName);
    uid.or_else(identifier).or_else(physical).unwrap_or_default()
}

/// The tables of a list that a caller may see, on one page. They come by the identifier of their contracts.
pub(crate) async fn list(
    caller: &Caller,
    host: &Host,
    root: Root,
    parameters: &Parameters,
) -> Result<Page<String>, Problem> {
    // A list leaves out what is not for the caller, and may be empty.
    caller.needs_no_role();
    let page = page_of(parameters)?;
    let filters = filters_of(parameters, &[])?;
    let source = host.store().data_source().await?;
    let tables = host.store().listed_tables(&listing_of(parameters)).await?;
    let wanted = |table: &ListedTable| {
        root.has(table.kind) && holds(&filters, table, &source) && can_read(caller, table)
    };
    let uids = tables.into_iter().filter(wanted).map(|table| table.uid).collect();
    Ok(Page::of(uids, page))
}

/// Whether a caller may see a table of a list.
pub(crate) fn can_read(caller: &Caller, table: &ListedTable) -> bool {
    caller.can_with_listed(Action::ReadTable, table)
}

/// The table that clients call so, where a caller may do this with it.
pub(crate) async fn by_identifier(
    caller: &Caller,
    host: &Host,
    identifier: &str,
    action: Action,
) -> Result<Table, Problem> {
    let listing = Listing::Identifier(identifier.to_owned());
    let found = host.store().listed_tables(&listing).await?.pop();
    let missing = || StoreError::NotFound { kind: "table", reference: identifier.to_owned() };
    let found = found.ok_or_else(missing)?;
    caller.table(host, &found.uid, action).await.map_err(|problem| {
        // By the name that was asked for: the uid tells of a table that may not be there for this caller.
        if problem.status == axum::http::StatusCode::NOT_FOUND { missing().into() } else { problem }
    })
}

/// The table of this uid under a root, where a caller may do this with it.
pub(crate) async fn by_uid(
    caller: &Caller,
    host: &Host,
    root: Root,
    uid: &str,
    action: Action,
) -> Result<Table, Problem> {
    let table = caller.table(host, uid, action).await?;
    if table.uid != uid || !root.has(table.contract.kind) {
        return Err(StoreError::NotFound { kind: "table", reference: uid.to_owned() }.into());
    }
    Ok(table)
}

/// Tables as they are told under a root, in the order of their uids. One that is alone is told with its coordinates.
pub(crate) async fn tell(
    caller: &Caller,
    store: &dyn Store,
    form: Form,
    uids: &[String],
) -> Result<Vec<Value>, Problem> {
    told(caller, store, form, uids, uids.len() == 1).await
}

/// The same, each with its coordinates.
pub(crate) async fn tell_whole(
    caller: &Caller,
    store: &dyn Store,
    form: Form,
    uids: &[String],
) -> Result<Vec<Value>, Problem> {
    told(caller, store, form, uids, true).await
}

async fn told(
    caller: &Caller,
    store: &dyn Store,
    form: Form,
    uids: &[String],
    whole: bool,
) -> Result<Vec<Value>, Problem> {
    let described = store.described_tables(uids).await?;
    let around = surroundings(caller, store, &described).await?;
    let has_coordinates = |described: &&DescribedTable| {
        described.table.contract.kind == TableKind::TimeIndexed && described.coordinates <= MAX_TOLD as u64
    };
    let mut progress: HashMap<&str, Progress> = HashMap::new();
    if whole && form == Form::TimeIndexed {
        let tables: Vec<&Table> =
            described.iter().filter(has_coordinates).map(|described| &described.table).collect();
        if !tables.is_empty() {
            let asked: Vec<Table> = tables.iter().copied().cloned().collect();
            let found = store.snapshot().await?.progress_of(&asked).await?;
            progress.extend(tables.iter().map(|table| table.uid.as_str()).zip(found));
        }
    }
    let one = |described: &DescribedTable| {
        table::table(form, described, progress.get(described.table.uid.as_str()), &around)
    };
    Ok(described.iter().map(one).collect())
}

/// One table as it is told.
pub(crate) async fn tell_one(
    caller: &Caller,
    store: &dyn Store,
    form: Form,
    uid: &str,
) -> Result<Value, Problem> {
    let told = tell(caller, store, form, &[uid.to_owned()]).await?.pop();
    told.ok_or_else(|| StoreError::NotFound { kind: "table", reference: uid.to_owned() }.into())
}

/// What tables refer to, and what refers to them, as far as it is for the caller.
async fn surroundings(
    caller: &Caller,
    store: &dyn Store,
    described: &[DescribedTable],
) -> Result<Surroundings, Problem> {
    let source = store.data_source().await?;
    let told: Vec<String> = described.iter().map(|described| described.table.uid.clone()).collect();
    let referring = store.referring_tables(&told).await?;
    let told: HashSet<&String> = told.iter().collect();
    let mut referrers: HashMap<String, Vec<datanode_store::Referrer>> = HashMap::new();
    for table in &referring {
        for key in &table.contract.foreign_keys {
            let uid = &key.references.table;
            if told.contains(uid) && caller.can_with(Action::ReadTable, table) {
                referrers.entry(uid.clone()).or_default().push(datanode_store::Referrer {
                    table_uid: table.uid.clone(),
                    table: table.contract.identifier.clone(),
                    foreign_key: key.clone(),
                });
            }
        }
    }
    let mut wanted: Vec<String> = described
        .iter()
        .flat_map(|described| &described.table.contract.foreign_keys)
        .map(|key| key.references.table.clone())
        .collect();
    wanted.sort_unstable();
    wanted.dedup();
    let mut targets = HashMap::new();
    for target in store.described_tables(&wanted).await? {
        // Of one that is not for the caller, the key tells the uid and no name.
        if !caller.can_with(Action::ReadTable, &target.table) {
            continue;
        }
        let schema = target.registration.schema.unwrap_or_else(|| datanode_store::DEFAULT_SCHEMA.to_owned());
        let physical_name = target.table.contract.physical_name().to_owned();
        targets.insert(target.table.uid, Target { physical_name, schema });
    }
    Ok(Surroundings { source, targets, referrers })
}

/// A page as Django's REST framework writes it: the client follows `next` as it is.
pub(crate) fn page_answer(
    settings: &ServerSettings,
    headers: &HeaderMap,
    uri: &Uri,
    parameters: &Parameters,
    page: &Page<Value>,
) -> Value {
    let address = |offset: usize| {
        let offset = (offset > 0).then(|| offset.to_string());
        let query = parameters.query_with("offset", offset.as_deref());
        let query = if query.is_empty() { query } else { format!("?{query}") };
        format!("{}{}{query}", origin(settings, headers), uri.path())
    };
    json!({
        "count": page.count,
        "next": page.next_offset().map(address),
        "previous": page.previous_offset().map(address),
        "results": page.items,
    })
}

/// Where this server is reached: as it is told, else as the caller has reached it.
fn origin(settings: &ServerSettings, headers: &HeaderMap) -> String {
    if let Some(url) = &settings.public_url {
        return url.trim_end_matches('/').to_owned();
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let scheme = match header("x-forwarded-proto") {
        Some("https") => "https",
        _ => "http",
    };
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_next_page_is_a_whole_address() {
        let uri: Uri = "/orm/api/ts_manager/dynamic_table/?namespace=a%26b&limit=2".parse().unwrap();
        let parameters = Parameters::of_query(uri.query()).unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("127.0.0.1:8750"));
        let page = |offset| Page { count: 5, offset, limit: 2, items: vec![json!({}), json!({})] };
        let settings = ServerSettings::default();
        let first = page_answer(&settings, &headers, &uri, &parameters, &page(0));
        let address = "http://127.0.0.1:8750/orm/api/ts_manager/dynamic_table/?namespace=a%26b&limit=2";
        assert_eq!(
            (&first["next"], &first["previous"]),
            (&json!(format!("{address}&offset=2")), &Value::Null)
        );
        headers.insert("x-forwarded-proto", HeaderValue::from_static("https"));
        let second = page_answer(&settings, &headers, &uri, &parameters, &page(2));
        assert_eq!(second["previous"], json!(address.replace("http://", "https://")));
        let settings = ServerSettings { public_url: Some("https://data.example/".to_owned()), ..settings };
        let second = page_answer(&settings, &headers, &uri, &parameters, &page(2));
        assert!(second["next"].as_str().unwrap().starts_with("https://data.example/orm/api/"));
    }
}
