//! The cost of a lookup doesn't grow with the number of rows: every statement in the store's sources is explained
//! by both engines, and reads by an index or is on the list of those that may read all.

use crate::bed::{Bed, raw};
use crate::on_both_databases;
use crate::server::Database;

/// Statements that read whole tables, and why they may.
const MAY_READ_ALL: [(&str, &str); 12] = [
    ("select kid, generation", "there are a handful of keys, and all are wanted"),
    ("delete from signing_key", "there are a handful of keys"),
    ("select id from user_account limit 1", "any row will do"),
    ("delete from client where first_used_at is null and id in", "counts unused clients, of which there is a ceiling"),
    ("delete from setup_link", "there are a handful of links"),
    (
        "select id, name, scopes, created_at, created_by, last_used_at, expires_at from api_token where revoked_at is null order",
        "there are a handful of tokens, and all are wanted",
    ),
    (
        "select id, username, display_name, password_hash, role, created_at, disabled_at, credential from user_account order by",
        "all users",
    ),
    ("select distinct substr(password_hash", "at start, and once a minute while hashes of an old cost are left"),
    ("select count(*) from attempt_event", "once a minute, over rows of which there is a ceiling"),
    ("select attempt, min(first_at)", "for the command line, over rows of which there is a ceiling"),
    ("select network, count(*) as steps", "only over the ceiling, once a minute"),
    (
        "delete from attempt_event where id in (select id from attempt_event order by",
        "the oldest, by an index in order",
    ),
];

/// Files whose statements belong to one database, and to an administrator's command or a start: they may cost what they
/// cost.
const OF_ONE_DATABASE: [&str; 2] = ["backup.rs", "pooler.rs"];

/// The columns of a client's metadata, and the values that are written there.
const SAID: (&str, &str) = (
    "metadata, name, uri, software_id, software_version, application_type, redirect_uris, auth_method, grant_types,
     scope, tos_uri, policy_uri, jwks, jwks_uri",
    "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15",
);

/// The texts of all statements in `src/store`, blanks collapsed.
fn statements() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/store");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if OF_ONE_DATABASE.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        let source = std::fs::read_to_string(path).unwrap();
        let code: Vec<_> = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let code = code.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        // The columns of a client, and of a recorded step, stand in macros of their own.
        let code = code
            .replace("\", client_columns!(), \"", "c.id")
            .replace("\", said_columns!(), \"", SAID.0)
            .replace("\", said_values!(), \"", SAID.1)
            .replace("\", attempt_columns!(), \"", "id");
        let texts = code.split('"').skip(1).step_by(2).map(str::trim);
        let verbs = ["select ", "insert ", "update ", "delete "];
        found.extend(texts.filter(|text| verbs.iter().any(|verb| text.starts_with(verb))).map(str::to_owned));
    }
    found
}

/// How many parameters a statement has.
fn parameters(sql: &str) -> usize {
    (1..30).rev().find(|n| sql.contains(&format!("${n}"))).unwrap_or(0)
}

/// The steps of the engine's plan.
async fn plan(bed: &Bed, database: Database, sql: &str) -> Vec<String> {
    let url = &bed.database.url;
    let rows = match database {
        Database::Sqlite => raw(url, &[&format!("explain query plan {sql}")]).await,
        Database::Postgres => {
            let nulls = vec!["null"; parameters(sql)].join(", ");
            let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
            raw(
                url,
                &[
                    // Tables are empty here, and reading nothing is cheapest: only where there is no index is a
                    // table still read.
                    "set enable_seqscan = off",
                    "set plan_cache_mode = force_generic_plan",
                    &format!("prepare explained as {sql}"),
                    &format!("explain (costs off) execute explained{arguments}"),
                ],
            )
            .await
        }
    };
    rows.unwrap_or_else(|error| panic!("{sql}: {error}")).into_iter().map(|row| row.last().unwrap().clone()).collect()
}

/// Whether a step of a plan reads a whole table, or a whole index.
fn reads_all(database: Database, step: &str) -> bool {
    match database {
        Database::Sqlite => step.starts_with("SCAN ") && !step.contains("CONSTANT ROW"),
        Database::Postgres => step.contains("Seq Scan"),
    }
}

on_both_databases! {
    /// §5.6.
    async fn lookups_do_not_grow_with_rows(database) {
        let bed = Bed::new(database).await;
        let statements = statements();
        assert!(statements.len() > 60, "only {} statements were found in the sources", statements.len());
        let mut faults = Vec::new();
        let mut excused = 0;
        for sql in &statements {
            let plan = plan(&bed, database, sql).await;
            // SQLite has no plan for plain insertions.
            assert!(!plan.is_empty() || sql.starts_with("insert "), "{sql}");
            if !plan.iter().any(|step| reads_all(database, step)) {
                continue;
            }
            if MAY_READ_ALL.iter().any(|(begin, _)| sql.starts_with(begin)) {
                excused += 1;
            } else {
                faults.push(format!("{sql}\n  {}", plan.join("\n  ")));
            }
        }
        assert!(faults.is_empty(), "these read whole tables:\n{}", faults.join("\n"));
        assert!(excused > 0, "a plan that reads a whole table would not be noticed");
    }

    /// What the poll asks four times a second: the many grants that ended with their client are not even passed over.
    async fn news_are_read_past_what_ended_together(database) {
        let bed = Bed::new(database).await;
        let (ada, client) = (bed.user("ada").await, bed.client("c").await);
        bed.connected("x", &ada, &client).await;
        bed.sql(
            "insert into token_grant (id, user_id, client_id, redirect_uri, scope, resource, authenticated_at,
                 created_at, expires_at, revoked_at, revoked_because, revoked_with)
             with recursive number (n) as (select 1 union all select n + 1 from number where n < 5000)
             select 'grt_' || n, g.user_id, g.client_id, g.redirect_uri, g.scope, g.resource, g.authenticated_at,
                    g.created_at, g.expires_at, 1800000000, 'client deleted', 'client'
             from number, (select * from token_grant limit 1) as g where true",
        )
        .await
        .unwrap();
        bed.sql("analyze").await.unwrap();
        let statements = statements();
        let news = statements.iter().find(|sql| sql.starts_with("select 'grant' as kind")).unwrap();
        let plan = plan(&bed, database, news).await.join("\n");
        assert!(plan.contains("token_grant_revoked_singly"), "{plan}");
        // Both conditions are looked up, none is filtered by.
        match database {
            Database::Sqlite => assert!(plan.contains("(revoked_with=? AND revoked_at>?)"), "{plan}"),
            Database::Postgres => {
                assert!(plan.contains("Index Cond: ((revoked_with IS NULL) AND (revoked_at >= $1))"), "{plan}");
            }
        }
    }

    /// §5.6: deleting a parent looks for its children by an index.
    async fn foreign_keys_are_indexed(database) {
        let bed = Bed::new(database).await;
        let missing = match database {
            Database::Sqlite => {
                "select m.name || '.' || f.\"from\" from sqlite_master m join pragma_foreign_key_list(m.name) f
                 where m.type = 'table' and not exists
                     (select 1 from pragma_index_list(m.name) i join pragma_index_info(i.name) c
                      where c.seqno = 0 and c.name = f.\"from\")"
            }
            Database::Postgres => {
                "select conrelid::regclass::text || '.' || conkey[1] from pg_constraint c
                 where contype = 'f' and connamespace = current_schema()::regnamespace and not exists
                     (select 1 from pg_index i where i.indrelid = c.conrelid and i.indkey[0] = c.conkey[1])"
            }
        };
        assert_eq!(bed.sql(missing).await.unwrap(), Vec::<Vec<String>>::new());
        let keys = match database {
            Database::Sqlite => {
                "select count(*) from sqlite_master m join pragma_foreign_key_list(m.name) f where m.type = 'table'"
            }
            Database::Postgres => {
                "select count(*) from pg_constraint where contype = 'f' and connamespace = current_schema()::regnamespace"
            }
        };
        assert_eq!(bed.number(keys).await, 15, "a new foreign key wants an index of its own");
    }
}
