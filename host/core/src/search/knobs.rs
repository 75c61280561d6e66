//! How the two scores of a table become one.

use serde::Serialize;

use super::SearchError;

/// The name by which the model of this host is asked for, whichever it is.
pub const DEFAULT_MODEL: &str = "default";
/// The most candidates of one score.
pub const MAX_CANDIDATES: u32 = 10_000;
/// The largest weight of one score.
pub const MAX_WEIGHT: f64 = 10.0;

/// What a search can be told; the default is good for most.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Knobs {
    /// So many tables with the best trigram score are candidates; 0: that score plays no part.
    pub trigram_k: u32,
    /// So many tables with the best embedding score are candidates; 0: that score plays no part.
    pub embed_k: u32,
    /// Weight of the trigram score.
    pub w_trgm: f64,
    /// Weight of the embedding score.
    pub w_emb: f64,
    /// The model whose vectors are compared: its name, or `default`.
    pub embedding_model: String,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            trigram_k: 200,
            embed_k: 200,
            w_trgm: 0.65,
            w_emb: 0.35,
            embedding_model: DEFAULT_MODEL.to_owned(),
        }
    }
}

impl Knobs {
    /// Refuse what no ranking could follow from.
    pub fn check(&self) -> Result<(), SearchError> {
        for (knob, value) in [("trigram_k", self.trigram_k), ("embed_k", self.embed_k)] {
            if value > MAX_CANDIDATES {
                return refused(knob, format!("{value} where 0 to {MAX_CANDIDATES} are allowed"));
            }
        }
        for (knob, value) in [("w_trgm", self.w_trgm), ("w_emb", self.w_emb)] {
            if !(0.0..=MAX_WEIGHT).contains(&value) {
                return refused(knob, format!("{value} where 0 to {MAX_WEIGHT} are allowed"));
            }
        }
        if !self.uses_trigrams() && !self.uses_embeddings() {
            return refused(
                "w_trgm",
                "both scores are switched off: each has no weight or no candidates".to_owned(),
            );
        }
        Ok(())
    }

    /// Whether the trigram score plays a part.
    pub fn uses_trigrams(&self) -> bool {
        self.trigram_k > 0 && self.w_trgm > 0.0
    }

    /// Whether the embedding score plays a part.
    pub fn uses_embeddings(&self) -> bool {
        self.embed_k > 0 && self.w_emb > 0.0
    }
}

fn refused(knob: &'static str, problem: String) -> Result<(), SearchError> {
    Err(SearchError::Knob { knob, problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knobs_have_bounds() {
        let knobs = Knobs::default;
        assert!(knobs().check().is_ok());
        assert!(Knobs { w_emb: 0.0, ..knobs() }.check().is_ok());
        let bad = [
            Knobs { trigram_k: MAX_CANDIDATES + 1, ..knobs() },
            Knobs { embed_k: u32::MAX, ..knobs() },
            Knobs { w_trgm: -0.1, ..knobs() },
            Knobs { w_emb: f64::NAN, ..knobs() },
            Knobs { w_emb: f64::INFINITY, ..knobs() },
            Knobs { w_trgm: 0.0, embed_k: 0, ..knobs() },
        ];
        for knobs in bad {
            assert!(knobs.check().is_err(), "{knobs:?}");
        }
    }
}
