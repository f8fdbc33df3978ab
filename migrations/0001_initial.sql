-- One text for SQLite and PostgreSQL: text, bigint and boolean only. Times are unix seconds. Secrets are
-- stored as SHA-256 digests (base64url), lists as JSON text, scopes as space-separated text.

create table signing_key (
    kid text primary key,
    generation bigint not null unique,
    algorithm text not null,
    sealed text not null,
    created_at bigint not null,
    active_at bigint not null
);

create table user_account (
    id text primary key,
    username text not null unique,
    display_name text not null,
    password_hash text not null,
    role text not null,
    created_at bigint not null,
    disabled_at bigint
);

create table setup_link (
    token_hash text primary key,
    expires_at bigint not null
);

create table session (
    token_hash text primary key,
    user_id text not null references user_account (id) on delete cascade,
    authenticated_at bigint not null,
    expires_at bigint not null
);
create index session_by_user on session (user_id);
create index session_by_expiry on session (expires_at);

create table sign_in_failure (
    subject text primary key,
    failures bigint not null,
    window_ends_at bigint not null
);
create index sign_in_failure_by_end on sign_in_failure (window_ends_at);

create table client (
    id text primary key,
    name text,
    uri text,
    software_id text,
    software_version text,
    application_type text,
    redirect_uris text not null,
    auth_method text not null,
    grant_types text not null,
    scope text not null,
    secret_hash text,
    -- Digest of the metadata of a public client: identical registrations are one row.
    fingerprint text unique,
    -- Whether more than one registration led to this row; then nobody may change it any more.
    shared boolean not null,
    registered_at bigint not null,
    first_used_at bigint,
    -- A deleted client stays as a tombstone, so that its id can be told from one that never was.
    deleted_at bigint
);
create index client_unused_by_age on client (registered_at) where first_used_at is null;

create table client_registration (
    token_hash text primary key,
    client_id text not null references client (id) on delete cascade,
    registered_at bigint not null
);
create index client_registration_by_client on client_registration (client_id, registered_at);

create table authorization_request (
    id text primary key,
    client_id text not null references client (id) on delete cascade,
    redirect_uri text not null,
    scope text,
    offline boolean not null,
    resource text not null,
    state text,
    code_challenge text,
    prompt text not null,
    login_hint text,
    browser_hash text not null,
    nonce text not null,
    created_at bigint not null,
    expires_at bigint not null,
    decision text,
    user_id text references user_account (id) on delete cascade
);
create index authorization_request_by_client on authorization_request (client_id);
create index authorization_request_by_user on authorization_request (user_id);
create index authorization_request_by_expiry on authorization_request (expires_at);

create table consent (
    user_id text not null references user_account (id) on delete cascade,
    client_id text not null references client (id) on delete cascade,
    redirect_uri text not null,
    resource text not null,
    scope text not null,
    offline boolean not null,
    granted_at bigint not null,
    primary key (user_id, client_id, redirect_uri, resource)
);
create index consent_by_client on consent (client_id);

create table authorization_code (
    code_hash text primary key,
    grant_id text not null,
    client_id text not null references client (id) on delete cascade,
    user_id text not null references user_account (id) on delete cascade,
    redirect_uri text not null,
    scope text not null,
    resource text not null,
    code_challenge text,
    authenticated_at bigint not null,
    expires_at bigint not null,
    attempts bigint not null,
    redeemed_at bigint
);
create index authorization_code_by_client on authorization_code (client_id);
create index authorization_code_by_user on authorization_code (user_id);
create index authorization_code_by_expiry on authorization_code (expires_at);

create table token_grant (
    id text primary key,
    user_id text not null references user_account (id) on delete cascade,
    client_id text not null references client (id) on delete cascade,
    redirect_uri text not null,
    scope text not null,
    resource text not null,
    authenticated_at bigint not null,
    created_at bigint not null,
    expires_at bigint not null,
    revoked_at bigint,
    revoked_because text
);
create index token_grant_by_user on token_grant (user_id);
create index token_grant_by_client on token_grant (client_id);
create index token_grant_by_expiry on token_grant (expires_at);
create index token_grant_revoked on token_grant (revoked_at) where revoked_at is not null;

create table refresh_token (
    token_hash text primary key,
    grant_id text not null references token_grant (id) on delete cascade,
    issued_at bigint not null,
    expires_at bigint not null,
    used_at bigint,
    repeats bigint not null
);
create index refresh_token_by_grant on refresh_token (grant_id, issued_at);
create index refresh_token_by_expiry on refresh_token (expires_at);
