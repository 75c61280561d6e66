//! Redirects: judged like requests, and never with a secret to another place.

use datanode_core::diagnostic::shell_word;
use datanode_core::source::{Place, check_encoded_path, check_path};
use hyper::StatusCode;
use hyper::header::{HeaderMap, LOCATION};
use url::Url;

use super::error::NoAnswer;
use super::http::{Fetch, MAX_HEADER_BYTES};
use super::request::{Prepared, add_query};
use super::shorten;

impl Fetch<'_> {
    /// Where an answer leads, if it is a redirect that is followed.
    pub(super) fn target(
        &self,
        prepared: &Prepared,
        from: &Url,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<(Url, Place)>, NoAnswer> {
        let leads_on = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        if !leads_on || !prepared.is_repeatable() || self.rules.limits.max_redirects == 0 {
            return Ok(None);
        }
        let Some(location) = headers.get(LOCATION) else { return Ok(None) };
        let target = location.to_str().ok().filter(|text| text.len() <= MAX_HEADER_BYTES);
        let Some(mut url) = target.and_then(|text| from.join(text).ok()) else {
            return self
                .refused("source.redirect", &format!("`{}` is redirected to what is no URL", self.path));
        };
        url.set_fragment(None);
        let Some(place) = self.rules.place_of(&url) else {
            return self.refused("source.redirect", &self.not_allowed(&url));
        };
        match place {
            Place::Own => {
                let is_there =
                    |key: &str| url.query_pairs().any(|(known, _)| known.eq_ignore_ascii_case(key));
                let missing: Vec<_> =
                    prepared.own_query.iter().filter(|(key, _)| !is_there(key)).cloned().collect();
                add_query(&mut url, &missing);
            }
            Place::Other if self.scrubber.finds(url.as_str()) => {
                let host = url.host_str().unwrap_or_default();
                let message = format!("`{}` is redirected to {host} with a secret of this source", self.path);
                return self.refused("source.redirect", &message);
            }
            Place::Other => {}
        }
        Ok(Some((url, place)))
    }

    /// What is said of a redirect that may not be followed: where it leads (without user, password and query, which may be
    /// anything), and what would allow it, if anything can.
    fn not_allowed(&self, url: &Url) -> String {
        if !matches!(url.scheme(), "http" | "https") {
            let (scheme, path) = (url.scheme(), shorten(url.path()));
            return format!(
                "`{}` is redirected to {scheme}:{path}, which is neither http nor https",
                self.path
            );
        }
        let origin = url.origin().ascii_serialization();
        let possible =
            url.username().is_empty() && check_encoded_path(url.path().trim_start_matches('/')).is_ok();
        let how = match self.rules.base_url.below(url) {
            Some(path) if check_path(path).is_ok() => format!("--allow-path {}", shell_word(path)),
            Some(_) => String::new(),
            None => {
                let up_to = url.path().rfind('/').map_or("/", |end| &url.path()[..=end]);
                format!("--redirect-to {}", shell_word(&format!("{origin}{up_to}")))
            }
        };
        let how = if possible && !how.is_empty() {
            format!("; allow it: datanode source allow {} {how}", self.name)
        } else {
            String::new()
        };
        format!("`{}` is redirected to {origin}{}, which is not allowed{how}", self.path, url.path())
    }
}
