//! Hash namespaces: which one a call runs under.
//!
//! A hash namespace isolates the identity of nodes, not their storage. (A contract's `namespace` is another thing: it
//! groups tables.)

use crate::name::{NameError, check_namespace};

/// The hash namespace of a call: the one that was given explicitly, else the ambient one, else none (the empty text,
/// which changes nothing). An explicit empty text means none, whatever is ambient.
///
/// ```
/// # use datanode_core::namespace::resolve;
/// assert_eq!(resolve(Some("mine"), Some("ci")).as_deref(), Ok("mine"));
/// assert_eq!(resolve(None, Some("ci")).as_deref(), Ok("ci"));
/// assert_eq!(resolve(Some(""), Some("ci")).as_deref(), Ok(""));
/// assert_eq!(resolve(None, None).as_deref(), Ok(""));
/// ```
pub fn resolve(explicit: Option<&str>, ambient: Option<&str>) -> Result<String, NameError> {
    let namespace = explicit.or(ambient).unwrap_or_default();
    if !namespace.is_empty() {
        check_namespace("hash namespace", namespace)?;
    }
    Ok(namespace.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explicit_then_ambient_then_none() {
        let resolved = |explicit, ambient| resolve(explicit, ambient).unwrap();
        assert_eq!(resolved(None, None), "");
        assert_eq!(resolved(None, Some("ci.nightly")), "ci.nightly");
        assert_eq!(resolved(Some("mine"), None), "mine");
        assert_eq!(resolved(Some("mine"), Some("ci")), "mine");
        assert_eq!(resolved(Some(""), Some("ci")), "", "an explicit empty one means none");
        assert_eq!(resolved(None, Some("")), "");
    }

    #[test]
    fn only_the_one_that_counts_must_be_a_name() {
        assert_eq!(resolve(Some("mine"), Some("Not A Name")).unwrap(), "mine");
        for bad in [(Some("Not A Name"), None), (None, Some("a..b"))] {
            let error = resolve(bad.0, bad.1).unwrap_err();
            assert_eq!(error.what, "hash namespace");
        }
    }
}
