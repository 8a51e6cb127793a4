-- Run by the administrator in the database "cloister" once the roles exist; safe to repeat.
create extension if not exists vector;
-- Without it full text under row-level security is a sequential scan: a function that might leak may not run first.
alter function pg_catalog.ts_match_vq(tsvector, tsquery) leakproof;
alter database cloister owner to cloister_owner;
alter schema public owner to cloister_owner;
revoke all on database cloister from public;
grant connect, temporary on database cloister to cloister_owner, cloister_app;
revoke create on schema public from public;
grant usage on schema public to cloister_app;
alter default privileges for role cloister_owner in schema public
    grant select, insert, update, delete on tables to cloister_app;
alter default privileges for role cloister_owner in schema public
    grant usage, select on sequences to cloister_app;
