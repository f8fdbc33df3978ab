-- The admin API: its tokens, and what its lists read by.

create table api_token (
    id text primary key,
    name text not null,
    token_hash text not null unique,
    scopes text not null,
    created_at bigint not null,
    -- The name and the id of the token that made it; null for one from the command line. What a token made is revoked
    -- with it.
    created_by text,
    made_by text,
    -- To the hour: a row is not written at each call.
    last_used_at bigint,
    expires_at bigint,
    revoked_at bigint
);
-- A name is free again when its token is revoked.
create unique index api_token_by_name on api_token (name) where revoked_at is null;
create index api_token_by_expiry on api_token (expires_at);
create index api_token_by_maker on api_token (made_by) where made_by is not null;
create index api_token_revoked on api_token (revoked_at) where revoked_at is not null;

-- Counts changes by an administrator, so that of two at once the second notices.
alter table client add column revision bigint not null default 0;
create index client_by_age on client (registered_at, id);
create index client_by_origin on client (origin, registered_at, id);

-- Connections are listed newest first, page by page.
drop index token_grant_by_user;
create index token_grant_by_user on token_grant (user_id, created_at, id);
drop index token_grant_by_client;
create index token_grant_by_client on token_grant (client_id, created_at, id);
create index token_grant_by_age on token_grant (created_at, id);
