//! Requests with keys.

use async_trait::async_trait;

use super::PostgresStore;
use super::stored::{damaged, failed};
use crate::keyed_request::known;
use crate::{BegunRequest, KeptAnswer, KeyedRequest, KeyedRequests, StoreError};

/// Digest, status, headers, body.
type Kept = (String, Option<i32>, Option<String>, Option<Vec<u8>>);

#[async_trait]
impl KeyedRequests for PostgresStore {
    async fn begin_request(&self, request: &KeyedRequest) -> Result<BegunRequest, StoreError> {
        const DOING: &str = "taking a request";
        let mut transaction = self.pools.begin().await?;
        sqlx::query("DELETE FROM datanode.keyed_requests WHERE created_at < $1")
            .bind(request.forget_before.micros())
            .execute(&mut *transaction)
            .await
            .map_err(failed(DOING))?;
        // One that nobody has answered in its time may be taken over, but only as what it was.
        let taken = sqlx::query(
            "INSERT INTO datanode.keyed_requests AS _kept (caller, key, digest, attempt, held_until, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (caller, key) DO UPDATE \
             SET attempt = excluded.attempt, held_until = excluded.held_until \
             WHERE _kept.status IS NULL AND _kept.held_until <= excluded.created_at AND _kept.digest = excluded.digest",
        )
        .bind(&request.caller)
        .bind(&request.key)
        .bind(&request.digest)
        .bind(&request.attempt)
        .bind(request.held_until.micros())
        .bind(request.now.micros())
        .execute(&mut *transaction)
        .await
        .map_err(failed(DOING))?;
        let found: Option<Kept> = sqlx::query_as(
            "SELECT digest, status, headers, body FROM datanode.keyed_requests WHERE caller = $1 AND key = $2",
        )
        .bind(&request.caller)
        .bind(&request.key)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(failed(DOING))?;
        transaction.commit().await.map_err(failed(DOING))?;
        if taken.rows_affected() > 0 {
            return Ok(BegunRequest::New);
        }
        let (digest, status, headers, body) =
            found.ok_or_else(|| damaged::<&str>("a request")("it is not there"))?;
        let answer = status.map(|status| KeptAnswer {
            status: u16::try_from(status).unwrap_or_default(),
            headers: headers.unwrap_or_default(),
            body: body.unwrap_or_default(),
        });
        Ok(known(request, &digest, answer))
    }

    async fn end_request(
        &self,
        request: &KeyedRequest,
        answer: Option<&KeptAnswer>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "ending a request";
        let mut transaction = self.pools.begin().await?;
        let ended = match answer {
            Some(answer) => {
                sqlx::query(
                    "UPDATE datanode.keyed_requests SET status = $4, headers = $5, body = $6 \
                     WHERE caller = $1 AND key = $2 AND attempt = $3",
                )
                .bind(&request.caller)
                .bind(&request.key)
                .bind(&request.attempt)
                .bind(i32::from(answer.status))
                .bind(&answer.headers)
                .bind(&answer.body)
                .execute(&mut *transaction)
                .await
            }
            None => {
                sqlx::query(
                    "DELETE FROM datanode.keyed_requests \
                     WHERE caller = $1 AND key = $2 AND attempt = $3 AND status IS NULL",
                )
                .bind(&request.caller)
                .bind(&request.key)
                .bind(&request.attempt)
                .execute(&mut *transaction)
                .await
            }
        };
        ended.map_err(failed(DOING))?;
        transaction.commit().await.map_err(failed(DOING))
    }
}
