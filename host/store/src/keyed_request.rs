//! Requests with a key of their sender: the same again, whichever server it reaches, is done once.

use async_trait::async_trait;
use datanode_core::Timestamp;

use crate::StoreError;

/// A request that is to be done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyedRequest {
    /// Whose key it is: keys of different callers are different keys.
    pub caller: String,
    /// The key.
    pub key: String,
    /// Digest of all that the request says.
    pub digest: String,
    /// Names this attempt to answer it.
    pub attempt: String,
    /// When it came.
    pub now: Timestamp,
    /// Until when nobody else answers it.
    pub held_until: Timestamp,
    /// Requests that came before this moment are forgotten.
    pub forget_before: Timestamp,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// HTTP status.
    pub status: u16,
    /// Headers that matter to whoever asks again, as JSON.
    pub headers: String,
    /// Body.
    pub body: Vec<u8>,
}

/// What is to be done with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BegunRequest {
    /// It is new: answer it, and say how it ended.
    New,
    /// Somebody works on it.
    UnderWay,
    /// It was answered like this.
    Answered(KeptAnswer),
    /// Its key came with another request.
    Other,
}

/// Requests with keys.
#[async_trait]
pub trait KeyedRequests {
    /// Take a request, unless it is taken.
    async fn begin_request(&self, request: &KeyedRequest) -> Result<BegunRequest, StoreError>;

    /// Say how a request ended that this attempt has begun: with an answer that is to be given again, or without, and then it
    /// may come anew. Of a request that another attempt has taken over nothing changes.
    async fn end_request(
        &self,
        request: &KeyedRequest,
        answer: Option<&KeptAnswer>,
    ) -> Result<(), StoreError>;
}

/// What a request is that was there already.
pub(crate) fn known(request: &KeyedRequest, digest: &str, answer: Option<KeptAnswer>) -> BegunRequest {
    match answer {
        _ if digest != request.digest => BegunRequest::Other,
        Some(answer) => BegunRequest::Answered(answer),
        None => BegunRequest::UnderWay,
    }
}
