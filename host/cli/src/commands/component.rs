//! `datanode component`

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use datanode_core::component::ComponentClass;
use datanode_core::provenance::Provenance;
use datanode_runtime::Uploaded;
use datanode_store::StoredComponent;
use semver::Version;

use crate::args::ComponentCommand;
use crate::failure::{Failure, Failures};
use crate::place::{ComponentFile, Place};
use crate::print::{self, Heading, Printer, count};
use crate::progress::Spinner;
use crate::say;
use crate::usage;

pub(crate) async fn run(
    command: ComponentCommand,
    place: &Place,
    printer: Printer,
) -> anyhow::Result<ExitCode> {
    match command {
        ComponentCommand::Upload { files, accept_new_identity, allow_stubbed_wasi, signature, sha256 } => {
            if files.len() > 1 && (signature.is_some() || sha256.is_some()) {
                return Err(usage(
                    "a signature and a digest are of one file: upload the others by themselves",
                ));
            }
            let signature = signature.as_deref().map(signature_of).transpose()?;
            let mut uploaded = Vec::with_capacity(files.len());
            let mut failures = Failures::default();
            for file in files {
                let upload = ComponentFile {
                    file: &file,
                    accept_new_identity,
                    admits: admitted(allow_stubbed_wasi),
                    expected: sha256,
                    signature: signature.clone(),
                };
                uploaded.extend(failures.note(self::upload(&upload, place).await));
            }
            printer.show(&uploaded, || {
                for upload in &uploaded {
                    let StoredComponent { manifest, digest, size, class, .. } = &upload.component;
                    let verb = if upload.created { "uploaded" } else { "already there:" };
                    print::done(&format!(
                        "{verb} {} {} ({} bytes, sha256 {}, {class})",
                        manifest.name,
                        manifest.version,
                        count(*size),
                        digest.short()
                    ));
                    if let Some(signed) = &upload.component.provenance.signed {
                        say!("  signed by `{}`", signed.key);
                    }
                    for source in manifest.sources.iter().filter(|source| source.required) {
                        say!(
                            "  reads source `{}`: {}",
                            source.name,
                            print::first_line(&source.description, 80)
                        );
                    }
                }
            })?;
            return Ok(failures.report(printer.json));
        }
        ComponentCommand::List => {
            let components = place.components().await?;
            printer.show(&components, || {
                let rows = components.iter().map(|component| {
                    vec![
                        component.manifest.name.clone(),
                        component.manifest.version.to_string(),
                        if component.enabled {
                            component.class.to_string()
                        } else {
                            format!("{}, disabled", component.class)
                        },
                        count(component.size),
                        component.digest.short(),
                        component.uploaded_at.short(),
                        print::first_line(&component.manifest.description, 60),
                    ]
                });
                let headings = [
                    Heading::Text("name"),
                    Heading::Text("version"),
                    Heading::Text("class"),
                    Heading::Number("bytes"),
                    Heading::Text("sha256"),
                    Heading::Text("uploaded"),
                    Heading::Text("description"),
                ];
                let empty = "no components yet; add one: datanode component upload my_node.wasm";
                print::table(&headings, rows.collect(), empty);
            })?;
        }
        ComponentCommand::Show { component } => {
            let (name, version) = release(&component)?;
            let component = place.component(name, version.as_ref()).await?;
            printer.show(&component, || show(&component))?;
        }
        ComponentCommand::Disable { component } => enable(&component, false, place, printer).await?,
        ComponentCommand::Enable { component } => enable(&component, true, place, printer).await?,
        ComponentCommand::Remove { component, force } => {
            let (name, version) = release(&component)?;
            let removed = place.remove_component(name, version.as_ref(), force).await?;
            printer.show(&removed, || {
                let StoredComponent { manifest, digest, .. } = &removed;
                print::done(&format!(
                    "removed {} {} (sha256 {})",
                    manifest.name,
                    manifest.version,
                    digest.short()
                ));
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The class up to which the operator admits components.
pub(super) fn admitted(allow_stubbed_wasi: bool) -> ComponentClass {
    if allow_stubbed_wasi { ComponentClass::Stubbed } else { ComponentClass::Pure }
}

fn class(class: ComponentClass) -> &'static str {
    match class {
        ComponentClass::Pure => "pure (imports nothing but the contract of this host)",
        ComponentClass::Stubbed => "stubbed (its WASI is answered by constants of this host)",
    }
}

async fn upload(upload: &ComponentFile<'_>, place: &Place) -> anyhow::Result<Uploaded> {
    let _spinner = Spinner::start(&format!("checking {}", upload.file.display()));
    place.upload(upload).await
}

fn signature_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    bounded(path).map_err(|error| usage(format!("{}: {error}", path.display())))
}

/// A signature is short, whatever the file is.
fn bounded(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(4_096).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// NAME or NAME@VERSION.
fn release(component: &str) -> anyhow::Result<(&str, Option<Version>)> {
    let Some((name, version)) = component.split_once('@') else { return Ok((component, None)) };
    let version = Version::parse(version).map_err(|error| {
        Failure::usage(format!("`{version}` is not a version: {error}")).with_next_step(format!(
            "write all three numbers, as in {name}@1.2.0; see what there is: datanode component list"
        ))
    })?;
    Ok((name, Some(version)))
}

async fn enable(component: &str, enabled: bool, place: &Place, printer: Printer) -> anyhow::Result<()> {
    let (name, version) = release(component)?;
    let changed = place.enable_component(name, version.as_ref(), enabled).await?;
    let chosen = place.component(name, None).await.ok();
    printer.show(&changed, || {
        let verb = if enabled { "enabled" } else { "disabled" };
        print::done(&format!("{verb} {name} {}", changed.manifest.version));
        match chosen {
            Some(chosen) => say!("  nodes of `{name}` that are not pinned run {}", chosen.manifest.version),
            None => say!("  nodes of `{name}` that are not pinned cannot run: no release is enabled"),
        }
    })
}

/// Where a component comes from, as far as it is known.
fn origin(provenance: &Provenance) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    let mut add = |name, value: Option<String>| facts.extend(value.map(|value| (name, value)));
    add("uploaded from", provenance.file.clone());
    add("uploaded by", provenance.uploaded_by.clone());
    let signed =
        provenance.signed.as_ref().map(|signed| format!("by `{}` ({})", signed.key, signed.public_key));
    add("signed", Some(signed.unwrap_or_else(|| "no".to_owned())));
    add("contract", provenance.contract.clone());
    let said = |list: &[String]| (!list.is_empty()).then(|| format!("{} (as it says)", list.join(", ")));
    add("language", said(&provenance.languages));
    add("built by", said(&provenance.tools));
    facts
}

fn show(component: &StoredComponent) {
    let manifest = &component.manifest;
    let mut facts = vec![
        ("name", manifest.name.clone()),
        ("version", manifest.version.to_string()),
        ("class", class(component.class).to_owned()),
        ("sha256", component.digest.to_string()),
        ("bytes", count(component.size)),
        ("uploaded", component.uploaded_at.to_string()),
        ("enabled", if component.enabled { "yes" } else { "no: only nodes pinned to it run it" }.to_owned()),
        ("imports", component.imports.join("\n")),
        ("description", manifest.description.clone()),
    ];
    if let Some(start) = manifest.default_offset_start {
        facts.push(("first run", format!("from {}", start.short())));
    }
    facts.extend(origin(&component.provenance));
    print::facts(&facts);
    say!("\nconfig");
    let fields = manifest.config_schema.get("properties").and_then(|fields| fields.as_object());
    let rows = fields.into_iter().flatten().map(|(name, field)| {
        let text = |key: &str| {
            field
                .get(key)
                .map_or(String::new(), |value| value.as_str().map_or(value.to_string(), str::to_owned))
        };
        let is_table = field.get(datanode_core::config::TABLE_REFERENCE).is_some();
        let kind = if is_table { "table".to_owned() } else { text("type") };
        vec![format!("  {name}"), kind, text("default"), print::first_line(&text("description"), 80)]
    });
    let headings = [
        Heading::Text("  field"),
        Heading::Text("type"),
        Heading::Text("default"),
        Heading::Text("description"),
    ];
    print::table(&headings, rows.collect(), "  no fields");
    say!("\nsources");
    let rows = manifest.sources.iter().map(|source| {
        let need = if source.required { "required" } else { "optional" };
        vec![format!("  {}", source.name), need.to_owned(), print::first_line(&source.description, 80)]
    });
    print::table(
        &[Heading::Text("  name"), Heading::Text("need"), Heading::Text("description")],
        rows.collect(),
        "  none",
    );
    say!("\noutput");
    let rows = manifest.columns.iter().map(|column| {
        let place = manifest.index.iter().position(|name| *name == column.name);
        vec![
            format!("  {}", column.name),
            column.data_type.to_string(),
            place.map_or(String::new(), |place| format!("index {}", place + 1)),
            print::first_line(&column.description, 80),
        ]
    });
    let headings = [
        Heading::Text("  column"),
        Heading::Text("type"),
        Heading::Text("key"),
        Heading::Text("description"),
    ];
    print::table(&headings, rows.collect(), "  depends on the config");
}
