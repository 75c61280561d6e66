//! The chain of a table's revisions: one beginning, one end, no gap, no cycle.

use std::collections::{BTreeMap, BTreeSet};

use super::RevisionError;

/// The fewest characters that a reference to a revision may have.
const MIN_PREFIX: usize = 4;

/// A revision and the one that it follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub revision: String,
    /// Its parent's id; None for the first.
    pub parent: Option<String>,
    /// Where it is, for messages: its folder.
    pub place: String,
}

/// Put revisions in order; the answer are positions in `links`. Every problem is said, in words.
pub fn order(links: &[Link]) -> Result<Vec<usize>, Vec<String>> {
    let mut problems = Vec::new();
    let mut by_id: BTreeMap<&str, usize> = BTreeMap::new();
    let mut by_parent: BTreeMap<Option<&str>, Vec<usize>> = BTreeMap::new();
    for (at, link) in links.iter().enumerate() {
        if let Some(other) = by_id.insert(&link.revision, at) {
            let other = &links[other].place;
            problems.push(format!("{other} and {} are both revision {}", link.place, link.revision));
        }
        by_parent.entry(link.parent.as_deref()).or_default().push(at);
    }
    for (parent, children) in &by_parent {
        if let Some(parent) = parent
            && !by_id.contains_key(parent)
        {
            problems.extend(
                children
                    .iter()
                    .map(|at| format!("{} follows revision {parent}, which is not here", links[*at].place)),
            );
        }
        if children.len() > 1 {
            let places: Vec<&str> = children.iter().map(|at| links[*at].place.as_str()).collect();
            let after =
                parent.map_or("begin the chain".to_owned(), |parent| format!("follow revision {parent}"));
            problems.push(format!("{} all {after}: one must follow the other", places.join(", ")));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let mut ordered = Vec::with_capacity(links.len());
    let mut parent = None;
    while let Some(at) = by_parent.get(&parent).and_then(|children| children.first()) {
        ordered.push(*at);
        parent = Some(links[*at].revision.as_str());
    }
    // Every parent is here and has one child: what the walk from the beginning misses goes round in a circle.
    let reached: BTreeSet<usize> = ordered.iter().copied().collect();
    let missed: Vec<&str> =
        (0..links.len()).filter(|at| !reached.contains(at)).map(|at| links[at].place.as_str()).collect();
    if missed.is_empty() {
        Ok(ordered)
    } else {
        Err(vec![format!("{} follow each other in a circle", missed.join(", "))])
    }
}

/// The position in the chain that a reference means, counted from 1; 0 is `base`, the table as it was registered.
/// A reference is `head`, `base`, a number of steps relative to `current` (`-1`, `+2`), or a unique beginning of an id.
pub fn resolve(table: &str, ids: &[String], current: usize, reference: &str) -> Result<usize, RevisionError> {
    let not_found = || RevisionError::NotFound {
        table: table.to_owned(),
        reference: reference.to_owned(),
        known: ids.to_vec(),
    };
    match reference {
        "head" => return Ok(ids.len()),
        "base" => return Ok(0),
        _ => {}
    }
    if reference.starts_with(['-', '+']) {
        let steps: isize = reference.parse().map_err(|_| not_found())?;
        return current.checked_add_signed(steps).filter(|at| *at <= ids.len()).ok_or_else(not_found);
    }
    if reference.len() < MIN_PREFIX {
        return Err(not_found());
    }
    let found: Vec<usize> = (0..ids.len()).filter(|at| ids[*at].starts_with(reference)).collect();
    match found[..] {
        [] => Err(not_found()),
        [at] => Ok(at + 1),
        _ => Err(RevisionError::Ambiguous {
            table: table.to_owned(),
            reference: reference.to_owned(),
            candidates: found.into_iter().map(|at| ids[at].clone()).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn link(revision: &str, parent: Option<&str>) -> Link {
        Link {
            revision: revision.to_owned(),
            parent: parent.map(str::to_owned),
            place: format!("folder_{revision}"),
        }
    }

    #[test]
    fn what_is_no_chain_is_said_in_words() {
        let cases = [
            vec![link("a", None), link("a", Some("a"))],
            vec![link("a", None), link("b", None)],
            vec![link("a", None), link("b", Some("a")), link("c", Some("a"))],
            vec![link("a", None), link("c", Some("b"))],
            vec![link("a", Some("b")), link("b", Some("a")), link("c", None)],
        ];
        let problems: Vec<String> = cases.iter().map(|links| order(links).unwrap_err().join("\n")).collect();
        insta::assert_snapshot!(problems.join("\n---\n"), @r"
        folder_a and folder_a are both revision a
        ---
        folder_a, folder_b all begin the chain: one must follow the other
        ---
        folder_b, folder_c all follow revision a: one must follow the other
        ---
        folder_c follows revision b, which is not here
        ---
        folder_a, folder_b follow each other in a circle
        ");
    }

    #[test]
    fn a_revision_is_found_by_what_people_write() {
        let ids = ["aaaa11", "aaaa22", "bbbb33"].map(str::to_owned);
        let at = |current, reference| resolve("t", &ids, current, reference).ok();
        assert_eq!((at(1, "head"), at(1, "base")), (Some(3), Some(0)));
        assert_eq!((at(2, "-1"), at(2, "+1"), at(0, "-1"), at(3, "+1")), (Some(1), Some(3), None, None));
        assert_eq!((at(0, "aaaa2"), at(0, "aaaa"), at(0, "bbb"), at(0, "cccc")), (Some(2), None, None, None));
        assert!(matches!(resolve("t", &ids, 0, "aaaa"), Err(RevisionError::Ambiguous { .. })));
    }

    proptest! {
        /// A chain is found in whatever order its folders are listed; take one revision but the last away, and it is
        /// no chain any more.
        #[test]
        fn order_is_that_of_the_parents(order_of in Just((0..12usize).collect::<Vec<_>>()).prop_shuffle(), gone in 0..11usize) {
            let chain: Vec<Link> = (0..12usize)
                .map(|at| link(&format!("r{at}"), at.checked_sub(1).map(|at| format!("r{at}")).as_deref()))
                .collect();
            let listed: Vec<Link> = order_of.iter().map(|at| chain[*at].clone()).collect();
            let ordered: Vec<Link> = order(&listed).unwrap().into_iter().map(|at| listed[at].clone()).collect();
            prop_assert_eq!(&ordered, &chain);
            let broken: Vec<Link> = listed.into_iter().filter(|link| *link != chain[gone]).collect();
            prop_assert!(order(&broken).is_err());
        }
    }
}
