#!/bin/sh
# Makes the roles on a PostgreSQL of its own (docker-compose.gpu.yml); the administrator's database is "cloister".
set -eu
psql -v ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname cloister \
    -v owner_password="$CLOISTER_OWNER_PASSWORD" -v app_password="$CLOISTER_APP_PASSWORD" <<'SQL'
create role cloister_owner login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'owner_password';
create role cloister_app login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password :'app_password';
\i /etc/cloister/database.sql
SQL
