//! What callers send, told: the schema of each document that a route reads, made from the very type that reads it, and an
//! example of it.

use schemars::{JsonSchema, Schema, SchemaGenerator};

/// The document that a route reads.
pub(crate) struct Described {
    /// Of the route.
    pub(crate) method: &'static str,
    /// Of the route.
    pub(crate) path: &'static str,
    /// Its schema.
    pub(crate) schema: fn(&mut SchemaGenerator) -> Schema,
    /// One that the route takes, as JSON.
    pub(crate) example: &'static str,
    /// Whether nothing may stand in its place.
    pub(crate) is_optional: bool,
}

impl Described {
    /// The route reads a `T`.
    pub(crate) const fn of<T: JsonSchema>(
        method: &'static str,
        path: &'static str,
        example: &'static str,
    ) -> Self {
        Self { method, path, schema: SchemaGenerator::subschema_for::<T>, example, is_optional: false }
    }

    /// The same, where an empty body is an empty object.
    pub(crate) const fn or_nothing(self) -> Self {
        Self { is_optional: true, ..self }
    }
}
