//! A store without a server, rows to begin with, and raw SQL beside it: for tests of the store itself.

use std::time::Duration;

use oauth::authorize::{AuthorizationRequest, Prompt};
use oauth::client::{AuthMethod, ClientMetadata};
use oauth::id::{AuthorizationId, ClientId, GrantId, UserId};
use oauth::pkce::CodeChallenge;
use oauth::redirect_uri::RedirectUri;
use oauth::resource::Resource;
use oauth::scope::Scope;
use oauth::time::Timestamp;
use portcullis::model::authorization::Authorization;
use portcullis::model::grant::{Grant, Redemption, Rotation};
use portcullis::model::secret::{Secret, SecretHash};
use portcullis::model::user::{Credential, Role, Username};
use portcullis::store::{
    AccountError, Approval, BITE, Decided, Expired, NewRegistration, NewUser, Redeem, Rotate, Store, StoreError,
};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

use crate::connector::{VERIFIER, challenge};
use crate::server::{Database, OwnDatabase};

/// What time it is.
pub const NOW: i64 = 1_800_000_000;
/// When codes of [`Bed::code`] die.
pub const CODE_DIES: i64 = NOW + 60;
/// When refresh tokens of [`Bed::connected`] die.
pub const REFRESH_DIES: i64 = NOW + 1_000;
/// When grants of [`Bed::connected`] end.
pub const GRANT_ENDS: i64 = NOW + 10_000;
/// The callback of clients here.
pub const REDIRECT: &str = "https://client.example/cb";
/// The resource of everything here.
pub const RESOURCE: &str = "https://h.example/mcp";

/// The moment `seconds` after the beginning.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp(NOW + seconds)
}

/// The digest of a text.
pub fn hash(text: &str) -> SecretHash {
    Secret::presented(text).hash()
}

/// A set of scopes.
pub fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

/// The resource of everything here.
pub fn resource() -> Resource {
    Resource::from_canonical(RESOURCE)
}

/// A store on a database of its own.
pub struct Bed {
    pub database: OwnDatabase,
    pub store: Store,
}

impl Bed {
    pub async fn new(database: Database) -> Self {
        let database = OwnDatabase::new(database).await;
        let store = connect(&database.url).await;
        store.migrate().await.unwrap();
        Self { database, store }
    }

    /// Another store on the same database, as another replica has.
    pub async fn replica(&self) -> Store {
        connect(&self.database.url).await
    }

    /// Runs SQL past the store; gives the columns of each row as text (booleans as 1 and 0, null as "-").
    pub async fn sql(&self, sql: &str) -> Result<Vec<Vec<String>>, sqlx::Error> {
        raw(&self.database.url, &[sql]).await
    }

    /// The one number that a query gives.
    pub async fn number(&self, sql: &str) -> i64 {
        let rows = self.sql(sql).await.unwrap();
        assert_eq!((rows.len(), rows[0].len()), (1, 1), "{sql}");
        rows[0][0].parse().unwrap()
    }

    /// How many rows a table holds.
    pub async fn count(&self, table: &str) -> i64 {
        self.number(&format!("select count(*) from {table}")).await
    }

    pub fn new_user(name: &str) -> NewUser {
        NewUser {
            id: UserId::new(format!("usr_{name}")),
            username: Username::parse(name).unwrap(),
            display_name: format!("{name} the tester"),
            password_hash: "$argon2id$none".into(),
            role: Role::User,
            created_at: at(0),
        }
    }

    pub async fn user(&self, name: &str) -> UserId {
        let user = Self::new_user(name);
        self.store.insert_user(&user).await.unwrap();
        user.id
    }

    pub fn metadata(name: &str) -> ClientMetadata {
        let callback = RedirectUri::from_stored(REDIRECT).unwrap();
        let grants = vec!["authorization_code".into(), "refresh_token".into()];
        ClientMetadata {
            name: Some(name.into()),
            ..ClientMetadata::bare(vec![callback], vec![AuthMethod::None], grants, scope("a b"))
        }
    }

    /// A registration of a public client that shares its row with others of the same name.
    pub fn registration(id: &str, name: &str, token: &str) -> NewRegistration {
        NewRegistration {
            id: ClientId::new(id),
            metadata: Self::metadata(name),
            secret_hash: None,
            fingerprint: Some(format!("fingerprint of {name}")),
            token_hash: hash(token),
            registered_at: at(0),
        }
    }

    /// A public client with the registration token `token of NAME`.
    pub async fn client(&self, name: &str) -> ClientId {
        let new = Self::registration(&format!("pc_{name}"), name, &format!("token of {name}"));
        self.store.insert_registration(&new).await.unwrap()
    }

    pub fn authorization(id: &str, client: &ClientId) -> Authorization {
        Authorization {
            id: AuthorizationId::new(id),
            client_id: client.clone(),
            redirect_uri: RedirectUri::from_stored(REDIRECT).unwrap(),
            request: AuthorizationRequest {
                scope: Some(scope("a b")),
                offline: true,
                resource: resource(),
                state: Some("st/a+te=1".into()),
                code_challenge: CodeChallenge::from_text(&challenge(VERIFIER)),
                prompt: Prompt { consent: true, ..Prompt::default() },
                login_hint: Some("ada".into()),
            },
            browser_hash: hash("browser"),
            nonce: "nonce".into(),
            created_at: at(-10),
            expires_at: at(100),
            decision: None,
        }
    }

    pub fn grant(id: &str, user: &UserId, client: &ClientId) -> Grant {
        Grant {
            id: GrantId::new(id),
            user_id: user.clone(),
            client_id: client.clone(),
            scope: scope("a b"),
            resource: resource(),
            authenticated_at: at(-20),
            expires_at: Timestamp(GRANT_ENDS),
        }
    }

    /// Approves `authorization` with this code, which dies at [`CODE_DIES`].
    pub async fn approve(&self, authorization: &Authorization, grant: &Grant, code: &str) -> Decided {
        approve(&self.store, Credential::default(), authorization, grant, code).await
    }

    /// A code `code of NAME` that becomes the grant `grt_NAME`.
    pub async fn code(&self, name: &str, user: &UserId, client: &ClientId) -> SecretHash {
        let authorization = Self::authorization(&format!("ath_{name}"), client);
        self.store.insert_authorization(&authorization).await.unwrap();
        let code = format!("code of {name}");
        let grant = Self::grant(&format!("grt_{name}"), user, client);
        assert_eq!(self.approve(&authorization, &grant, &code).await, Decided::Now);
        hash(&code)
    }

    /// Redeems a code for the refresh token `refresh`.
    pub async fn redeem(&self, code: &SecretHash, refresh: &str, now: i64) -> Redemption {
        let redeem = Redeem {
            code_hash: code,
            refresh: Some((hash(refresh), Timestamp(REFRESH_DIES))),
            grant_expires_at: Timestamp(GRANT_ENDS),
            now: at(now),
        };
        self.store.redeem_code(&redeem).await.unwrap()
    }

    /// A live grant `grt_NAME` with the refresh token `NAME 0`.
    pub async fn connected(&self, name: &str, user: &UserId, client: &ClientId) -> GrantId {
        let code = self.code(name, user, client).await;
        assert_eq!(self.redeem(&code, &format!("{name} 0"), 0).await, Redemption::Redeemed);
        GrantId::new(format!("grt_{name}"))
    }

    /// Rotates a refresh token, from `here`, with a window of 100 seconds and two repetitions.
    pub async fn rotate(&self, old: &str, new: &str, now: i64) -> Rotation {
        rotate(&self.store, old, new, now).await.unwrap()
    }

    /// Forgets all that has ended, to the last bite; tells how many rows that were.
    pub async fn sweep(&self, now: Timestamp, evidence_before: Timestamp) -> u64 {
        let mut rows = 0;
        for what in Expired::ALL {
            loop {
                let taken = self.store.forget(what, now, evidence_before).await.unwrap();
                assert!(taken <= BITE, "{what:?}: {taken} rows in one bite");
                rows += taken;
                if taken < BITE {
                    break;
                }
            }
        }
        rows
    }

    /// Forgets unused clients by age and by number; tells how many that were.
    pub async fn sweep_unused(&self, before: Timestamp, most: i64) -> u64 {
        let old = self.store.forget_unused_clients(before).await.unwrap();
        old + self.store.forget_surplus_clients(most).await.unwrap()
    }

    /// Forgets steps of attempts by age and by number.
    pub async fn sweep_attempts(&self, before: Timestamp, most: i64, per_network: i64) {
        while self.store.forget_attempts(before).await.unwrap() > 0 {}
        while self.store.forget_surplus_attempts(most, per_network).await.unwrap() > 0 {}
    }

    /// The grants that have ended since a moment, as any replica sees them.
    pub async fn ended_since(&self, seconds: i64) -> Vec<GrantId> {
        let page = self.replica().await.ended_grants(&(at(seconds), GrantId::new("")), 1_000).await.unwrap();
        page.into_iter().map(|(id, _)| id).collect()
    }

    /// When and why a grant was revoked, as `time reason`.
    pub async fn revoked(&self, grant: &GrantId) -> String {
        let sql = format!(
            "select coalesce(revoked_at, 0), coalesce(revoked_because, '-') from token_grant where id = '{grant}'"
        );
        self.sql(&sql).await.unwrap()[0].join(" ")
    }
}

/// Opens a store without touching the schema.
pub async fn connect(url: &str) -> Store {
    Store::connect(url, 8, Duration::from_secs(30)).await.unwrap()
}

/// Approves `authorization` with this code, which dies at [`CODE_DIES`], as somebody who signed in with this credential.
pub async fn approve(
    store: &Store,
    credential: Credential,
    authorization: &Authorization,
    grant: &Grant,
    code: &str,
) -> Decided {
    let (code_hash, code_expires_at) = (hash(code), Timestamp(CODE_DIES));
    let client_digest = "digest";
    let approval = Approval { authorization, grant, credential, client_digest, code_hash, code_expires_at, now: at(0) };
    store.approve_authorization(&approval).await.unwrap()
}

/// Rotates a refresh token, from `here`, with a window of 100 seconds and two repetitions.
pub async fn rotate(store: &Store, old: &str, new: &str, now: i64) -> Result<Rotation, StoreError> {
    rotate_from(store, "here", old, new, now).await
}

/// The same from anywhere.
pub async fn rotate_from(store: &Store, from: &str, old: &str, new: &str, now: i64) -> Result<Rotation, StoreError> {
    let (old, new, after_new) = (hash(old), hash(new), hash(&format!("after {new}")));
    let rotate = Rotate {
        old: &old,
        new: &new,
        after_new: &after_new,
        new_expires_at: at(now + 1_000),
        grace_began_at: at(now - 100),
        grace_uses: 2,
        under_way_since: at(now - 10),
        used_from: from,
        now: at(now),
    };
    store.rotate_refresh_token(&rotate).await
}

/// Whether making an account failed because its name is taken.
pub fn is_taken(outcome: &Result<(), AccountError>) -> bool {
    matches!(outcome, Err(AccountError::NameTaken))
}

/// Whether reading failed because the row makes no sense.
pub fn is_corrupt<T>(outcome: &Result<T, StoreError>) -> bool {
    match outcome {
        Err(StoreError::Corrupt { .. }) => true,
        // What a row type refuses by itself (`#[sqlx(try_from)]`, a column of another type).
        Err(StoreError::Database(error)) => {
            matches!(error, sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_))
        }
        Ok(_) | Err(_) => false,
    }
}

/// Runs statements on one connection of their own and gives the rows of the last.
pub async fn raw(url: &str, statements: &[&str]) -> Result<Vec<Vec<String>>, sqlx::Error> {
    let mut rows = Vec::new();
    macro_rules! cells {
        ($row:expr) => {
            (0..$row.len())
                .map(|index| {
                    let text = $row.try_get::<Option<String>, _>(index).map(|text| text.unwrap_or("-".into()));
                    let number = || $row.try_get::<i64, _>(index).map(|number| number.to_string());
                    let int = || $row.try_get::<i32, _>(index).map(|number| number.to_string());
                    let flag = || $row.try_get::<bool, _>(index).map(|flag| i64::from(flag).to_string());
                    text.or_else(|_| number()).or_else(|_| int()).or_else(|_| flag()).unwrap()
                })
                .collect::<Vec<String>>()
        };
    }
    if url.starts_with("sqlite") {
        let mut connection = SqliteConnection::connect(url).await?;
        for sql in statements {
            let found = sqlx::query(AssertSqlSafe((*sql).to_owned())).fetch_all(&mut connection).await?;
            rows = found.iter().map(|row| cells!(row)).collect();
        }
        connection.close().await?;
    } else {
        let mut connection = PgConnection::connect(url).await?;
        for sql in statements {
            let sql = AssertSqlSafe((*sql).to_owned());
            let found = sqlx::Executor::fetch_all(&mut connection, sqlx::raw_sql(sql)).await?;
            rows = found.iter().map(|row| cells!(row)).collect();
        }
        connection.close().await?;
    }
    Ok(rows)
}

/// A transaction of somebody else that has written and not yet committed.
pub enum Held {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Held {
    /// Begins, runs the statement and stops before the commit.
    pub async fn after(url: &str, sql: &str) -> Self {
        let sql = AssertSqlSafe(sql.to_owned());
        if url.starts_with("sqlite") {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            sqlx::raw_sql("begin immediate").execute(&mut connection).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            Self::Sqlite(connection)
        } else {
            let mut connection = PgConnection::connect(url).await.unwrap();
            sqlx::raw_sql("begin").execute(&mut connection).await.unwrap();
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
            Self::Postgres(connection)
        }
    }

    /// Waits until somebody waits for it. SQLite does not tell who does, and lets nobody read half of it either.
    pub async fn until_awaited(&mut self) {
        let Self::Postgres(connection) = self else { return };
        let waiting =
            "select count(*) from pg_locks own join pg_locks other on other.pid = any (pg_blocking_pids(own.pid))
                       where not own.granted and other.pid = pg_backend_pid()";
        for _ in 0..2_000 {
            let (count,): (i64,) = sqlx::query_as(waiting).fetch_one(&mut *connection).await.unwrap();
            if count > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody waits for the transaction");
    }

    pub async fn commit(self) {
        match self {
            Self::Sqlite(mut connection) => drop(sqlx::raw_sql("commit").execute(&mut connection).await.unwrap()),
            Self::Postgres(mut connection) => drop(sqlx::raw_sql("commit").execute(&mut connection).await.unwrap()),
        }
    }
}
