-- Written by readiness checks, to see whether the database takes writes: one row.
create table heartbeat (
    id text primary key,
    at bigint not null
);

-- Requests that nobody decided are forgotten as soon as they have expired.
create index authorization_request_undecided on authorization_request (expires_at) where decision is null;
