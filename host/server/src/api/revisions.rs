//! Revisions of tables. Their files are the caller's, under version control there: they come with each request, and what the
//! host writes goes back in the answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use datanode_core::access::Action;
use datanode_core::contract::Contract;
use datanode_core::revision::CONTRACT_FILE;
use datanode_runtime::{Host, Steps};
use datanode_store::Table;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::auth::Caller;
use crate::described::Described;
use crate::input::{Document, Place};
use crate::{AppState, Problem};

/// `FOLDER/FILE` → its text.
type Files = BTreeMap<String, String>;

/// Files that come with a request.
const MOST_FILES: usize = 20_000;
/// Where the folder is that `refresh` names, beside those of the table.
const NAMED: &str = ".named";

pub(super) fn routes() -> Router<AppState> {
    let at = |verb: &str| format!("/api/v1/tables/{{reference}}/revisions/{verb}");
    Router::new()
        .route(&at("current"), post(current))
        .route(&at("history"), post(history))
        .route(&at("write"), post(write))
        .route(&at("complete"), post(complete))
        .route(&at("seal"), post(seal))
        .route(&at("upgrade"), post(upgrade))
        .route(&at("downgrade"), post(downgrade))
        .route(&at("refresh"), post(refresh))
}

/// What is sent to them.
pub(super) const DOCUMENTS: &[Described] = &[
    asked("/api/v1/tables/{reference}/revisions/current", STANDING),
    asked("/api/v1/tables/{reference}/revisions/history", STANDING),
    asked("/api/v1/tables/{reference}/revisions/write", WRITTEN),
    asked("/api/v1/tables/{reference}/revisions/complete", NAMED_BY_ID),
    asked("/api/v1/tables/{reference}/revisions/seal", NAMED_BY_ID),
    asked("/api/v1/tables/{reference}/revisions/upgrade", r#"{"files": {}, "target": "head"}"#),
    asked("/api/v1/tables/{reference}/revisions/downgrade", r#"{"files": {}, "target": "-1"}"#),
    asked("/api/v1/tables/{reference}/revisions/refresh", WRITTEN),
];

const fn asked(path: &'static str, example: &'static str) -> Described {
    Described::of::<Asked>("POST", path, example)
}

const STANDING: &str = r#"{"directory": "revisions", "files": {}}"#;
const NAMED_BY_ID: &str =
    r#"{"files": {"0001_digits/contract.toml": "identifier = \"currencies\""}, "revision": "0001"}"#;
const WRITTEN: &str = r#"{
    "directory": "revisions",
    "files": {},
    "message": "digits of the smallest unit",
    "contract": {
        "identifier": "currencies",
        "kind": "reference",
        "description": "Currencies.",
        "primary_key": ["code"],
        "columns": [
            {"name": "code", "type": "string", "description": "ISO 4217 code."},
            {"name": "digits", "type": "int32", "nullable": true, "description": "Digits of its smallest unit."}
        ]
    }
}"#;

/// What is asked, with the files of the table's revisions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[schemars(rename = "RevisionRequest")]
#[serde(default, deny_unknown_fields)]
struct Asked {
    /// What the caller calls the directory of all revisions: answers name places in it.
    directory: String,
    /// All files of the table's revisions: `FOLDER/FILE`, and its text.
    files: Files,
    /// What a new revision is for.
    message: String,
    /// To which contract: of a new revision that is not made by hand, and of `refresh`.
    #[schemars(with = "Option<Contract>")]
    contract: Option<Value>,
    /// Which revision: its id, or the beginning of it.
    revision: String,
    /// How far: `head`, `base`, `+1`, `-1`, an id, or the beginning of one.
    target: Option<String>,
    /// What the caller calls the folder of one revision, with its files as `revision/FILE`.
    folder: Option<String>,
    /// The files of that folder.
    folder_files: Files,
}

/// The files of a request in a directory of this machine, which is gone when this is dropped.
struct Laid {
    directory: TempDir,
    /// What the caller calls it.
    called: String,
    identifier: String,
    before: Files,
}

/// A name that stays where it is put.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && name.len() <= 200
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

fn broken(error: &std::io::Error) -> Problem {
    tracing::error!(error = %error, "files of revisions cannot be laid out");
    Problem::new(
        axum::http::StatusCode::SERVICE_UNAVAILABLE,
        "server.upload_storage",
        "the files cannot be kept now",
    )
}

fn lay(files: &Files, place: &Path) -> Result<(), Problem> {
    for (path, text) in files {
        let parts = path.split_once('/').filter(|(folder, file)| is_plain(folder) && is_plain(file));
        let Some((folder, file)) = parts else {
            let path: String = path.chars().take(200).collect();
            return Err(Problem::usage(format!("`{path}` is no file of a revision: FOLDER/FILE")));
        };
        let folder = place.join(folder);
        std::fs::create_dir_all(&folder)
            .and_then(|()| std::fs::write(folder.join(file), text))
            .map_err(|error| broken(&error))?;
    }
    Ok(())
}

/// All files of the folders below a directory.
fn gather(place: &Path) -> std::io::Result<Files> {
    let mut files = Files::new();
    if !place.is_dir() {
        return Ok(files);
    }
    for folder in std::fs::read_dir(place)? {
        let folder = folder?;
        if !folder.path().is_dir() {
            continue;
        }
        for file in std::fs::read_dir(folder.path())? {
            let file = file?;
            let name =
                format!("{}/{}", folder.file_name().to_string_lossy(), file.file_name().to_string_lossy());
            files.insert(name, std::fs::read_to_string(file.path())?);
        }
    }
    Ok(files)
}

impl Laid {
    fn of(asked: &Asked, identifier: &str, place: &Path) -> Result<Self, Problem> {
        if asked.files.len() + asked.folder_files.len() > MOST_FILES {
            return Err(Problem::usage(format!("more than {MOST_FILES} files")));
        }
        // Identifiers of this catalogue are names; one that an old client has given may be any text, and has no revisions.
        if !is_plain(identifier) {
            return Err(Problem::usage(
                "a table whose identifier is no plain name has no folders of revisions",
            ));
        }
        let made = std::fs::create_dir_all(place)
            .and_then(|()| tempfile::Builder::new().prefix("revisions-").tempdir_in(place))
            .map_err(|error| broken(&error))?;
        lay(&asked.files, &made.path().join(identifier))?;
        lay(&asked.folder_files, &made.path().join(NAMED))?;
        let called =
            if asked.directory.is_empty() { "revisions".to_owned() } else { asked.directory.clone() };
        Ok(Self { directory: made, called, identifier: identifier.to_owned(), before: asked.files.clone() })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Places as the caller calls them, wherever they stand in a document.
    fn told(&self, document: &impl Serialize, folder: Option<&str>) -> Result<Value, Problem> {
        let mut document =
            serde_json::to_value(document).map_err(|_| Problem::bug("a revision was being told"))?;
        self.rename(&mut document, folder);
        Ok(document)
    }

    fn rename(&self, value: &mut Value, folder: Option<&str>) {
        match value {
            Value::String(text) => *text = self.text(text, folder),
            Value::Array(items) => items.iter_mut().for_each(|item| self.rename(item, folder)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.rename(field, folder)),
            _ => {}
        }
    }

    fn text(&self, text: &str, folder: Option<&str>) -> String {
        let named = self.path().join(NAMED).join("revision");
        let text = text.replace(&named.display().to_string(), folder.unwrap_or("revision"));
        text.replace(&self.path().display().to_string(), &self.called)
    }

    fn problem(&self, error: datanode_runtime::RuntimeError, folder: Option<&str>) -> Problem {
        let mut problem = Problem::from(error);
        problem.detail = self.text(&problem.detail, folder);
        problem.next = problem.next.map(|next| self.text(&next, folder));
        problem
    }

    /// Files that are other than they came.
    fn changed(&self) -> Result<Files, Problem> {
        let mut files = gather(&self.path().join(&self.identifier)).map_err(|error| broken(&error))?;
        files.retain(|path, text| self.before.get(path) != Some(text));
        Ok(files)
    }
}

/// SQL of revisions reads what the contracts refer to, those of before and those of after: the caller must be allowed all of
/// it.
async fn may_refer(host: &Host, caller: &Caller, table: &Table, asked: &Asked) -> Result<(), Problem> {
    caller.may_refer(host, &table.contract, Some(table)).await?;
    if let Some(contract) = contract_of(asked.contract.as_ref())? {
        caller.may_refer(host, &contract, Some(table)).await?;
    }
    for (path, text) in asked.files.iter().chain(&asked.folder_files) {
        let is_contract = path.rsplit('/').next() == Some(CONTRACT_FILE);
        // One that cannot be read is applied by nobody: the host says where it is wrong.
        if let Some(contract) = is_contract.then(|| Contract::from_toml(text).ok()).flatten() {
            caller.may_refer(host, &contract, Some(table)).await?;
        }
    }
    Ok(())
}

/// Everything that each of these needs.
async fn begin(
    state: &AppState,
    caller: &Caller,
    reference: &str,
    action: Action,
    asked: Asked,
) -> Result<(Host, Table, Laid, Asked), Problem> {
    let table = caller.table(state.host(), reference, action).await?;
    if action == Action::ReshapeTable {
        may_refer(state.host(), caller, &table, &asked).await?;
    }
    let (place, identifier): (PathBuf, _) =
        (state.settings().upload_directory.clone(), table.contract.identifier.clone());
    let (laid, asked) = tokio::task::spawn_blocking(move || {
        let laid = Laid::of(&asked, &identifier, &place)?;
        Ok::<_, Problem>((laid, asked))
    })
    .await
    .map_err(|_| Problem::bug("files of revisions were being laid out"))??;
    Ok((caller.host(state), table, laid, asked))
}

fn contract_of(value: Option<&Value>) -> Result<Option<Contract>, Problem> {
    value
        .filter(|value| !value.is_null())
        .map(|value| Ok(Contract::from_json(&value.to_string())?))
        .transpose()
}

async fn current(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Asked>,
) -> Result<Json<Value>, Problem> {
    let (host, table, laid, _) = begin(&state, &caller, &reference, Action::ReadTable, asked).await?;
    let standing = host.table_standing(&table.uid, laid.path()).await;
    let standing = standing.map_err(|error| laid.problem(error, None))?;
    Ok(Json(laid.told(&standing, None)?))
}

async fn history(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Asked>,
) -> Result<Json<Value>, Problem> {
    let (host, table, laid, _) = begin(&state, &caller, &reference, Action::ReadTable, asked).await?;
    let history = host.table_history(&table.uid, laid.path()).await;
    let history = history.map_err(|error| laid.problem(error, None))?;
    Ok(Json(json!({"items": laid.told(&history, None)?, "next_cursor": null})))
}

async fn write(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Asked>,
) -> Result<Json<Value>, Problem> {
    let (host, table, laid, asked) = begin(&state, &caller, &reference, Action::ReshapeTable, asked).await?;
    let contract = contract_of(asked.contract.as_ref())?;
    let written = host.write_revision(&table.uid, &asked.message, contract, laid.path()).await;
    let written = written.map_err(|error| laid.problem(error, None))?;
    Ok(Json(json!({"revision": laid.told(&written, None)?, "files": laid.changed()?})))
}

async fn complete(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Asked>,
) -> Result<Json<Value>, Problem> {
    let (host, table, laid, asked) = begin(&state, &caller, &reference, Action::ReshapeTable, asked).await?;
    let completed = host.complete_revision(&table.uid, &asked.revision, laid.path()).await;
    let completed = completed.map_err(|error| laid.problem(error, None))?;
    Ok(Json(json!({"revision": laid.told(&completed, None)?, "files": laid.changed()?})))
}

async fn seal(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Asked>,
) -> Result<Json<Value>, Problem> {
    let (host, table, laid, asked) = begin(&state, &caller, &reference, Action::ReshapeTable, asked).await?;
    let sealed = host.seal_revision(&table.uid, &asked.revision, laid.path()).await;
    let sealed = sealed.map_err(|error| laid.problem(error, None))?;
    Ok(Json(json!({"revision": laid.told(&sealed, None)?, "files": laid.changed()?})))
}

/// Steps that were made, and why there are no more.
fn steps_of(laid: &Laid, steps: Steps) -> Result<Json<Value>, Problem> {
    let done = laid.told(&steps.done, None)?;
    let error = steps.failed.map(|error| {
        let problem = laid.problem(error, None);
        json!({
            "code": problem.code, "class": problem.class.as_str(), "message": problem.detail,
            "next_step": problem.next,
        })
    });
    Ok(Json(json!({"done": done, "error": error})))
}

async fn upgrade(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Asked>,
) -> Result<Json<Value>, Problem> {
    let (host, table, laid, asked) = begin(&state, &caller, &reference, Action::ReshapeTable, asked).await?;
    let target = asked.target.as_deref().unwrap_or("head");
    let steps = host.upgrade_table(&table.uid, target, laid.path(), |_| {}).await;
    steps_of(&laid, steps.map_err(|error| laid.problem(error, None))?)
}

async fn downgrade(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Asked>,
) -> Result<Json<Value>, Problem> {
    let (host, table, laid, asked) = begin(&state, &caller, &reference, Action::ReshapeTable, asked).await?;
    let Some(target) = asked.target.as_deref() else {
        return Err(Problem::usage("name a target: -1, base, or the beginning of an id"));
    };
    let steps = host.downgrade_table(&table.uid, target, laid.path(), |_| {}).await;
    steps_of(&laid, steps.map_err(|error| laid.problem(error, None))?)
}

async fn refresh(
    State(state): State<AppState>,
    caller: Caller,
    Place(reference): Place<String>,
    Document(asked): Document<Asked>,
) -> Result<Json<Value>, Problem> {
    let (host, table, laid, asked) = begin(&state, &caller, &reference, Action::ReshapeTable, asked).await?;
    let folder = asked.folder.as_deref();
    let step = match (folder, contract_of(asked.contract.as_ref())?) {
        (Some(_), None) => {
            host.refresh_to_revision(&table.uid, &laid.path().join(NAMED).join("revision"), laid.path()).await
        }
        (None, Some(contract)) => host.refresh_to_contract(&table.uid, contract).await,
        _ => return Err(Problem::usage("name either a folder or a contract")),
    };
    Ok(Json(laid.told(&step.map_err(|error| laid.problem(error, folder))?, folder)?))
}
