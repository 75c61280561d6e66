//! Who sends a request, and what they may do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use datanode_core::access::{Action, Principal, Target, allowed};
use datanode_core::contract::Contract;
use datanode_runtime::Host;
use datanode_store::{ListedTable, StoreError, Table};

use crate::{AppState, Problem, request};

/// How often something is judged again that others have changed before it could be done.
pub(crate) const JUDGED_AGAIN: u32 = 3;

/// Whoever sends the request. It is made by the layer that judges routes: a handler outside of that has none.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    principal: Principal,
    /// Whether the handler has asked for a role.
    asked: Arc<AtomicBool>,
}

impl Caller {
    pub(crate) fn new(principal: Principal) -> Self {
        Self { principal, asked: Arc::default() }
    }

    /// Who it is.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What they are called in logs: the id of the token is no secret.
    pub(crate) fn name(&self) -> String {
        let user = self.principal.actor(None);
        match &self.principal.token {
            Some(token) => format!("{user}/{token}"),
            None => user.to_string(),
        }
    }

    /// Refuse what the caller may not do with something.
    pub(crate) fn may(&self, action: Action, target: &Target<'_>) -> Result<(), Problem> {
        self.asked.store(true, Ordering::Relaxed);
        Ok(allowed(&self.principal, action, target)?)
    }

    /// The same of a table.
    pub(crate) fn may_with(&self, action: Action, table: &Table) -> Result<(), Problem> {
        self.may(action, &target_of(table))
    }

    /// Whether the caller may: for lists, which leave out what is not for them.
    pub(crate) fn can(&self, action: Action, target: &Target<'_>) -> bool {
        self.asked.store(true, Ordering::Relaxed);
        allowed(&self.principal, action, target).is_ok()
    }

    /// The same of a table.
    pub(crate) fn can_with(&self, action: Action, table: &Table) -> bool {
        self.can(action, &target_of(table))
    }

    /// The same of a table of a list.
    pub(crate) fn can_with_listed(&self, action: Action, table: &ListedTable) -> bool {
        let ListedTable { uid, identifier, namespace, owner, .. } = table;
        self.can(action, &Target::table(uid, identifier, namespace.as_deref(), owner.as_deref()))
    }

    /// Whether the caller has any role on something: whoever has none is told nothing of it, not even that it is there. What
    /// the token is good for plays no part.
    fn sees_target(&self, target: &Target<'_>) -> bool {
        self.asked.store(true, Ordering::Relaxed);
        self.principal.role_on(target).is_some()
    }

    /// The same of a table.
    pub(crate) fn sees(&self, table: &Table) -> bool {
        self.sees_target(&target_of(table))
    }

    /// Whether the caller has a role on everything: also on what has gone.
    pub(crate) fn sees_all(&self) -> bool {
        self.sees_target(&Target::Organisation)
    }

    /// Refuse what the token is not for, before anything is looked up: so that it is told the same of whatever there is.
    pub(crate) fn has_right_to(&self, action: Action) -> Result<(), Problem> {
        if self.principal.rights.has(action.need().right) {
            return Ok(());
        }
        self.may(action, &Target::Organisation)
    }

    /// Refuse what the caller may not do with something of a table, which is `kind` and was asked for by this reference. For
    /// one who may not even see the table it is not there.
    pub(crate) fn may_of(
        &self,
        action: Action,
        table: &Table,
        kind: &'static str,
        reference: &str,
    ) -> Result<(), Problem> {
        if self.sees(table) {
            return self.may_with(action, table);
        }
        Err(StoreError::NotFound { kind, reference: reference.to_owned() }.into())
    }

    /// A table, where the caller may do this with it. One that they may not even see is not there for them.
    pub(crate) async fn table(&self, host: &Host, reference: &str, action: Action) -> Result<Table, Problem> {
        self.has_right_to(action)?;
        let table = host.store().table(reference).await?;
        self.may_of(action, &table, "table", reference)?;
        Ok(table)
    }

    /// Refuse a contract that refers to a table which the caller may not read: SQL over the table, and that of its revisions,
    /// reads what it refers to. One that they may not even see is not registered for them. `itself` is the table of the
    /// contract, where there is one. Answers the contract with the tables that were judged in the place of their names, which
    /// may be others' by the time when it is registered.
    pub(crate) async fn may_refer(
        &self,
        host: &Host,
        contract: &Contract,
        itself: Option<&Table>,
    ) -> Result<Contract, Problem> {
        let mut judged = contract.clone();
        let is_itself = |name: &str| match itself {
            Some(table) => name == table.uid || name == table.contract.identifier,
            None => name == contract.identifier,
        };
        for (at, key) in contract.foreign_keys.iter().enumerate() {
            if is_itself(&key.references.table) {
                continue;
            }
            let named = &key.references.table;
            let target = match host.store().table(named).await {
                Ok(target) => target,
                // The host says so itself, where it matters.
                Err(StoreError::NotFound { .. }) => continue,
                Err(error) => return Err(error.into()),
            };
            if !self.sees(&target) {
                return Err(StoreError::TargetNotRegistered {
                    contract: contract.identifier.clone(),
                    columns: key.columns.join(", "),
                    target: named.clone(),
                }
                .into());
            }
            self.may_with(Action::ReadTable, &target)?;
            judged.foreign_keys[at].references.table = target.uid;
        }
        Ok(judged)
    }

    /// Nothing in this answer depends on a role.
    pub(crate) fn needs_no_role(&self) {
        self.asked.store(true, Ordering::Relaxed);
    }

    /// Whether the handler has asked.
    pub(crate) fn has_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// The host in the name of the caller.
    pub(crate) fn host(&self, state: &AppState) -> Host {
        state.host_for(&self.principal)
    }
}

/// What rights to a table depend on.
pub(crate) fn target_of(table: &Table) -> Target<'_> {
    let contract = &table.contract;
    Target::table(&table.uid, &contract.identifier, contract.namespace.as_deref(), table.owner.as_deref())
}

impl FromRequestParts<AppState> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &AppState) -> Result<Self, Self::Rejection> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| Problem::bug("a handler outside of the layer that judges"))
    }
}

/// The token of a request: `Authorization: Bearer …`, or `Token …` as the existing client writes it.
fn token_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let bad = || {
        Problem::new(StatusCode::UNAUTHORIZED, "access.bad_token", "the header Authorization cannot be read")
    };
    if given.next().is_some() {
        return Err(bad());
    }
    let text = value.to_str().map_err(|_| bad())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(bad)?;
    if !(scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token")) {
        return Err(bad().with_next("send it as Authorization: Bearer TOKEN"));
    }
    Ok(Some(token.trim()))
}

/// Who sends a request with these headers.
pub(crate) async fn authenticate(state: &AppState, headers: &HeaderMap) -> Result<Principal, Problem> {
    let Some(text) = token_of(headers)? else {
        if state.demands_token().await? {
            return Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "access.no_token",
                "this server demands a token",
            )
            .with_next("send Authorization: Bearer TOKEN; create one: datanode token create"));
        }
        crate::origin::check(headers)?;
        return Ok(Principal::local());
    };
    // Whether it is unknown, expired or revoked is told to nobody.
    let principal = state.host().store().authenticate(text, datanode_runtime::now()).await?;
    state.take_request(&principal)?;
    Ok(principal)
}

/// Who changes something by this request, for the audit log.
pub(crate) fn actor(principal: &Principal) -> datanode_core::access::Actor {
    let id = request::id();
    principal.actor((!id.is_empty()).then_some(id.as_str()))
}
