-- What a password opens ends with it. An account counts its credentials: up by one with each new password and each
-- disabling. What was opened carries the count and is good only as long as it is still the account's.
alter table user_account add column credential bigint not null default 0;
alter table session add column credential bigint not null default 0;
alter table authorization_code add column credential bigint not null default 0;
alter table consent add column credential bigint not null default 0;
-- What the client said of itself when it was approved. Rows from before have none, and count as changed.
alter table consent add column client_digest text;
