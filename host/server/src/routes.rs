//! Routes as data: what there is, and what each demands.

use datanode_core::access::Action;

use crate::{api, compat, health};

/// Which of the two languages a route speaks; errors are told in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Api {
    /// Ours: RFC 9457 problem details.
    Own,
    /// That of the existing client.
    Compatible,
}

/// What a caller must show before a handler is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Nothing: anybody who reaches the server.
    Nothing,
    /// To be somebody: a token that counts, whatever its rights.
    Caller,
    /// To be allowed to do this. The token's right is asked for every such route; where the action needs a role, the layer
    /// asks for one on the organisation when only that will do, and the handler asks for that on a table.
    To(Action),
}

/// What a route reads of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// None. What comes all the same is not read.
    None,
    /// A document: JSON, TOML. Bounded by `document_bytes`.
    Document,
    /// Rows. Bounded by `rows_bytes`.
    Rows,
    /// A component. Bounded by `component_bytes`.
    Component,
}

/// How long it may take until an answer begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// `answer_seconds`.
    Ordinary,
    /// `long_answer_seconds`.
    Long,
}

/// One route: a method and a path as axum writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// `GET`, `POST`, …; a `GET` route answers `HEAD` as well.
    pub method: &'static str,
    /// As in `/api/v1/tables/{reference}`.
    pub path: &'static str,
    /// Who may call it.
    pub demand: Demand,
    /// What it reads.
    pub body: Body,
    /// How long it may take.
    pub pace: Pace,
    /// Whether what is sent or answered is a secret, of which nothing may be kept.
    pub is_secret: bool,
    /// What it does, in a few words.
    pub what: &'static str,
}

impl Route {
    /// A route without a body, at the ordinary pace.
    pub const fn new(method: &'static str, path: &'static str, demand: Demand, what: &'static str) -> Self {
        Self { method, path, demand, body: Body::None, pace: Pace::Ordinary, is_secret: false, what }
    }

    /// The same, which reads a body.
    #[must_use]
    pub const fn taking(self, body: Body) -> Self {
        Self { body, ..self }
    }

    /// The same, which may take long.
    #[must_use]
    pub const fn long(self) -> Self {
        Self { pace: Pace::Long, ..self }
    }

    /// The same, of whose requests and answers nothing may be kept.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { is_secret: true, ..self }
    }

    /// Whether it changes something.
    pub fn is_write(&self) -> bool {
        self.method != "GET" && !self.is_read_by_post()
    }

    /// Whether a request of this route may have an `Idempotency-Key`. Uploads and loads are such by what they are: the same
    /// bytes again change nothing. Of secrets nothing is kept.
    pub fn takes_key(&self) -> bool {
        self.method == "POST"
            && self.is_write()
            && !self.is_secret
            && matches!(self.body, Body::None | Body::Document)
    }

    /// A question that does not fit into a path.
    fn is_read_by_post(&self) -> bool {
        matches!(self.demand, Demand::To(action) if action.need().right == datanode_core::access::Right::Read)
    }
}

/// All routes of this server: own, then compatible, then those without an API.
pub fn all() -> impl Iterator<Item = (Api, &'static Route)> {
    let own = api::ROUTES.iter().chain(health::ROUTES).map(|route| (Api::Own, route));
    own.chain(compat::routes_of_all().map(|route| (Api::Compatible, route)))
}

/// The route that axum has matched. A `HEAD` is judged as the `GET` that it is the head of.
pub(crate) fn find(method: &axum::http::Method, path: &str) -> Option<(Api, &'static Route)> {
    let method = if method == axum::http::Method::HEAD { "GET" } else { method.as_str() };
    let head = (method == "GET").then_some("HEAD");
    all()
        .filter(|(_, route)| route.path == path)
        .find(|(_, route)| route.method == method || Some(route.method) == head)
}
