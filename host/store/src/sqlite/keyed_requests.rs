//! Requests with keys.

use async_trait::async_trait;
use rusqlite::params;

use super::SqliteStore;
use super::stored::{change, damaged, failed, find};
use crate::keyed_request::known;
use crate::{BegunRequest, KeptAnswer, KeyedRequest, KeyedRequests, StoreError};

#[async_trait]
impl KeyedRequests for SqliteStore {
    async fn begin_request(&self, request: &KeyedRequest) -> Result<BegunRequest, StoreError> {
        const DOING: &str = "taking a request";
        let request = request.clone();
        self.write(DOING, move |connection| {
            let failed = failed(DOING);
            change(
                connection,
                "DELETE FROM _keyed_requests WHERE created_at < ?1",
                [request.forget_before.micros()],
            )
            .map_err(&failed)?;
            // One that nobody has answered in its time may be taken over, but only as what it was.
            let taken = change(
                connection,
                "INSERT INTO _keyed_requests (caller, key, digest, attempt, held_until, created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (caller, key) DO UPDATE \
                 SET attempt = excluded.attempt, held_until = excluded.held_until \
                 WHERE status IS NULL AND held_until <= excluded.created_at AND digest = excluded.digest",
                params![
                    request.caller,
                    request.key,
                    request.digest,
                    request.attempt,
                    request.held_until.micros(),
                    request.now.micros(),
                ],
            )
            .map_err(&failed)?;
            if taken > 0 {
                return Ok(BegunRequest::New);
            }
            let found = find(
                connection,
                "SELECT digest, status, headers, body FROM _keyed_requests WHERE caller = ?1 AND key = ?2",
                [&request.caller, &request.key],
                |row| {
                    Ok((
                        row.get::<_, String>(0)?,
                        row.get::<_, Option<u16>>(1)?,
                        row.get::<_, Option<String>>(2)?,
                        row.get::<_, Option<Vec<u8>>>(3)?,
                    ))
                },
            )
            .map_err(&failed)?;
            let (digest, status, headers, body) =
                found.ok_or_else(|| damaged::<&str>("a request")("it is not there"))?;
            let answer = status.map(|status| KeptAnswer {
                status,
                headers: headers.unwrap_or_default(),
                body: body.unwrap_or_default(),
            });
            Ok(known(&request, &digest, answer))
        })
        .await
    }

    async fn end_request(
        &self,
        request: &KeyedRequest,
        answer: Option<&KeptAnswer>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "ending a request";
        let (request, answer) = (request.clone(), answer.cloned());
        self.write(DOING, move |connection| {
            let KeyedRequest { caller, key, attempt, .. } = &request;
            let ended = match answer {
                Some(answer) => change(
                    connection,
                    "UPDATE _keyed_requests SET status = ?4, headers = ?5, body = ?6 \
                     WHERE caller = ?1 AND key = ?2 AND attempt = ?3",
                    params![caller, key, attempt, answer.status, answer.headers, answer.body],
                ),
                None => change(
                    connection,
                    "DELETE FROM _keyed_requests WHERE caller = ?1 AND key = ?2 AND attempt = ?3 AND status IS NULL",
                    [caller, key, attempt],
                ),
            };
            ended.map(|_| ()).map_err(failed(DOING))
        })
        .await
    }
}
