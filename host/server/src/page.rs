//! Lists in pages.

use axum::Json;
use serde::Serialize;
use serde_json::{Value, json};

use crate::input::Params;
use crate::{Problem, cursor};

/// Items of a page that says nothing else.
const ORDINARY: usize = 100;
/// Items of the largest page.
pub(crate) const MOST: usize = 1_000;

/// Which page is wanted: `?limit=…&cursor=…`.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    /// Items at most.
    pub(crate) limit: usize,
    /// Key of the item that it begins behind.
    pub(crate) after: Option<String>,
}

impl Page {
    /// Take it out of the parameters.
    pub(crate) fn of(params: &mut Params) -> Result<Self, Problem> {
        let limit = params.value::<usize>("limit")?.unwrap_or(ORDINARY);
        if limit == 0 || limit > MOST {
            return Err(Problem::usage(format!("the parameter `limit` is 1 to {MOST}")));
        }
        let after = params.text("cursor")?.map(|text| cursor::decode(&text)).transpose()?;
        Ok(Self { limit, after })
    }

    /// One page of all items, which come in the order of their keys.
    pub(crate) fn cut<T>(&self, items: impl IntoIterator<Item = T>, key: impl Fn(&T) -> String) -> Cut<T> {
        let behind = |item: &T| self.after.as_ref().is_none_or(|after| key(item) > *after);
        let mut items: Vec<T> = items.into_iter().filter(behind).take(self.limit + 1).collect();
        let next = (items.len() > self.limit).then(|| {
            items.truncate(self.limit);
            items.last().map(|last| cursor::encode(&key(last))).unwrap_or_default()
        });
        Cut { items, next }
    }
}

/// A page.
#[derive(Debug)]
pub(crate) struct Cut<T> {
    /// Its items.
    pub(crate) items: Vec<T>,
    /// The cursor of the next one.
    pub(crate) next: Option<String>,
}

impl<T: Serialize> Cut<T> {
    /// As it is answered.
    pub(crate) fn answer(&self) -> Json<Value> {
        Json(json!({"items": self.items, "next_cursor": self.next}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_each_other_and_end() {
        let all = ["a", "b", "c", "d", "e"];
        let mut page = Page { limit: 2, after: None };
        let mut seen = Vec::new();
        loop {
            let cut = page.cut(all, ToString::to_string);
            seen.extend(cut.items);
            match cut.next {
                Some(next) => page.after = Some(cursor::decode(&next).unwrap()),
                None => break,
            }
        }
        assert_eq!(seen, all);
    }
}
