-- Clients of three origins: registered by themselves, managed by an administrator, known by a metadata document.

alter table client add column origin text not null default 'registered';
alter table client add column description text;
alter table client add column tos_uri text;
alter table client add column policy_uri text;
-- Keys for private_key_jwt: the set itself, or where it is.
alter table client add column jwks text;
alter table client add column jwks_uri text;
-- What an administrator decides; null is what holds for everybody.
alter table client add column allowed_scope text;
alter table client add column access_ttl bigint;
alter table client add column refresh_idle_ttl bigint;
alter table client add column refresh_absolute_ttl bigint;
alter table client add column first_party boolean not null default false;
alter table client add column disabled_at bigint;
-- The secret before the last rotation, as long as it is still good.
alter table client add column old_secret_hash text;
alter table client add column old_secret_expires_at bigint;
create index client_managed_by_age on client (registered_at) where origin = 'managed';

create table client_logo (
    client_id text primary key references client (id) on delete cascade,
    media_type text not null,
    -- The file, base64.
    body text not null,
    updated_at bigint not null
);

-- The last good copy of a client's metadata document, and of the keys at its jwks_uri.
create table client_document (
    client_id text primary key references client (id) on delete cascade,
    body text not null,
    source text not null,
    fetched_at bigint not null,
    fresh_until bigint not null
);

-- Keys at a client's jwks_uri, as last fetched.
create table client_keys (
    client_id text primary key references client (id) on delete cascade,
    uri text not null,
    jwks text not null,
    fetched_at bigint not null
);

-- Assertions that were presented: each is good once.
create table client_assertion (
    client_id text not null references client (id) on delete cascade,
    jti_hash text not null,
    expires_at bigint not null,
    primary key (client_id, jti_hash)
);
create index client_assertion_by_expiry on client_assertion (expires_at);
