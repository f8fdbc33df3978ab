-- What a client says of itself, or an administrator of it, as JSON (RFC 7591 §2): a member more is no column more.
-- The first start fills it from the columns that held it so far. Those are written as well as long as a copy of the release
-- before may run beside this one, and count where it has written a row since.
alter table client add column metadata text;
