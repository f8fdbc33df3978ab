-- What was recorded of attempts to connect: one row for each kind of step, with a count of its repetitions. Nothing
-- here references another table: it must be able to tell of clients that never were.
create table attempt_event (
    -- Digest of all that makes two steps the same.
    id text primary key,
    attempt text not null,
    -- Whether the attempt's id stands for a network and a quarter of an hour, so that others may share it.
    early boolean not null,
    stage text not null,
    outcome text not null,
    reason text not null,
    -- What was received, without secrets: a JSON list of names and values.
    detail text not null,
    agent text not null,
    network text not null,
    client_id text,
    grant_id text,
    first_at bigint not null,
    last_at bigint not null,
    times bigint not null
);
create index attempt_event_by_attempt on attempt_event (attempt, first_at);
create index attempt_event_by_client on attempt_event (client_id, first_at);
create index attempt_event_by_network on attempt_event (network, last_at);
create index attempt_event_by_grant on attempt_event (grant_id, first_at);
create index attempt_event_by_stage on attempt_event (stage, last_at);
create index attempt_event_by_age on attempt_event (last_at);
