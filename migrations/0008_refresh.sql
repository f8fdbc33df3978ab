-- Refresh tokens that are used again, and grants that end: what has to be known of both at once, on every replica.

-- A keyed digest of the network from which a refresh token was used first: tells a repetition from elsewhere, and
-- nobody's address.
alter table refresh_token add column used_from text;
-- Since now `repeats` counts how often a token was handed out again, in the row of the token that was handed out.

-- With whom a grant ended, if not by itself: 'client' or 'user'. Those stand in grant_ending too, in one row together.
alter table token_grant add column revoked_with text;
drop index token_grant_revoked;
create index token_grant_revoked on token_grant (revoked_at, id) where revoked_at is not null;
create index token_grant_revoked_singly on token_grant (revoked_with, revoked_at, id) where revoked_at is not null;

-- Grants of one client or user that ended together, as when a client is deleted: what replicas look for several times a
-- second must not be a hundred thousand rows.
create table grant_ending (
    at bigint not null,
    -- 'client' or 'user'
    kind text not null,
    subject text not null,
    grants bigint not null,
    primary key (at, kind, subject)
);
