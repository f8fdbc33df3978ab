//! `client_logo`: pictures of managed clients. Nobody else's: a picture says "trust me" louder than a name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth::id::ClientId;
use oauth::time::Timestamp;

use super::statement::sql;
use super::{Store, StoreError, read, write};

impl Store {
    /// Sets a client's logo; tells whether it did: only managed clients have one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn put_logo(
        &self,
        id: &ClientId,
        media_type: &str,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let done = write!(
            self,
            sql("insert into client_logo (client_id, media_type, body, updated_at)
             select id, $2, $3, $4 from client where id = $1 and origin = 'managed' and deleted_at is null
             on conflict (client_id) do update set media_type = excluded.media_type, body = excluded.body,
                 updated_at = excluded.updated_at")
            .bind(id)
            .bind(media_type)
            .bind(STANDARD.encode(bytes))
            .bind(now),
            execute
        )?;
        Ok(done == 1)
    }

    /// A client's logo: its media type and its bytes.
    ///
    /// # Errors
    /// When the database fails or the row can't be read.
    pub async fn find_logo(&self, id: &ClientId) -> Result<Option<(String, Vec<u8>)>, StoreError> {
        let row: Option<(String, String)> =
            read!(self, sql("select media_type, body from client_logo where client_id = $1").bind(id), fetch_optional)?;
        row.map(|(media_type, body)| {
            let bytes = STANDARD.decode(body).map_err(|error| StoreError::corrupt("logo", error))?;
            Ok((media_type, bytes))
        })
        .transpose()
    }

    /// When a client's logo was set, if it has one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn logo_set_at(&self, id: &ClientId) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<(Timestamp,)> =
            read!(self, sql("select updated_at from client_logo where client_id = $1").bind(id), fetch_optional)?;
        Ok(row.map(|(at,)| at))
    }

    /// Removes a client's logo; tells whether there was one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn delete_logo(&self, id: &ClientId) -> Result<bool, StoreError> {
        let done = write!(self, sql("delete from client_logo where client_id = $1").bind(id), execute)?;
        Ok(done == 1)
    }
}
