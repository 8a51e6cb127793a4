"""Grants of the application role, identity functions, and row security of collections."""

from django.db import migrations

GRANTS = """
GRANT USAGE ON SCHEMA public TO cloister_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO cloister_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO cloister_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO cloister_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE ON SEQUENCES TO cloister_app;
REVOKE INSERT, UPDATE, DELETE ON django_migrations FROM cloister_app;
-- The log is never changed; only the reference to a user who is gone may be cleared.
REVOKE UPDATE, DELETE ON access_auditentry FROM cloister_app;
GRANT UPDATE (user_id) ON access_auditentry TO cloister_app;
"""

# The identity is the transaction's setting cloister.user_id: a user's key, 'system', or nothing. Membership, user and
# group tables carry no row security, so the functions below do not recurse into the policies that call them.
IDENTITY = """
CREATE FUNCTION cloister_is_system() RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(current_setting('cloister.user_id', true) = 'system', false)
$$;

CREATE FUNCTION cloister_user_id() RETURNS bigint
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN current_setting('cloister.user_id', true) ~ '^[0-9]{1,18}$'
                THEN current_setting('cloister.user_id', true)::bigint END
$$;

CREATE FUNCTION cloister_member_collections(roles text[]) RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(array_agg(DISTINCT m.collection_id), '{}'::uuid[])
    FROM public.access_membership m
    WHERE m.role = ANY (roles)
      AND EXISTS (SELECT FROM public.access_user u WHERE u.id = public.cloister_user_id() AND u.is_active)
      AND (m.user_id = public.cloister_user_id()
           OR m.group_id IN (SELECT g.group_id FROM public.access_user_groups g
                             WHERE g.user_id = public.cloister_user_id()))
$$;

CREATE FUNCTION cloister_visible_collections() RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT public.cloister_member_collections(ARRAY['viewer', 'editor', 'owner'])
$$;

CREATE FUNCTION cloister_editable_collections() RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT public.cloister_member_collections(ARRAY['editor', 'owner'])
$$;

CREATE FUNCTION cloister_owned_collections() RETURNS uuid[]
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT public.cloister_member_collections(ARRAY['owner'])
$$;
"""

# Each function stands in a sub-select: an InitPlan, evaluated once per query and not once per row.
GUARD = """
CREATE FUNCTION cloister_guard(guarded regclass) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    readable text := '(SELECT public.cloister_is_system())'
        ' OR collection_id = ANY ((SELECT public.cloister_visible_collections())::uuid[])';
    writable text := '(SELECT public.cloister_is_system())'
        ' OR collection_id = ANY ((SELECT public.cloister_editable_collections())::uuid[])';
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', guarded);
    EXECUTE format('CREATE POLICY readable ON %s FOR SELECT USING (%s)', guarded, readable);
    EXECUTE format('CREATE POLICY insertable ON %s FOR INSERT WITH CHECK (%s)', guarded, writable);
    EXECUTE format('CREATE POLICY changeable ON %s FOR UPDATE USING (%s) WITH CHECK (%s)', guarded, writable, writable);
    EXECUTE format('CREATE POLICY deletable ON %s FOR DELETE USING (%s)', guarded, writable);
END
$$;
REVOKE EXECUTE ON FUNCTION cloister_guard(regclass) FROM PUBLIC;
"""

COLLECTION = """
ALTER TABLE access_collection ENABLE ROW LEVEL SECURITY;
ALTER TABLE access_collection FORCE ROW LEVEL SECURITY;
CREATE POLICY readable ON access_collection FOR SELECT
    USING ((SELECT cloister_is_system()) OR id = ANY ((SELECT cloister_visible_collections())::uuid[]));
CREATE POLICY insertable ON access_collection FOR INSERT
    WITH CHECK ((SELECT cloister_is_system()) OR created_by_id = (SELECT cloister_user_id()));
CREATE POLICY changeable ON access_collection FOR UPDATE
    USING ((SELECT cloister_is_system()) OR id = ANY ((SELECT cloister_owned_collections())::uuid[]))
    WITH CHECK ((SELECT cloister_is_system()) OR id = ANY ((SELECT cloister_owned_collections())::uuid[]));
CREATE POLICY deletable ON access_collection FOR DELETE
    USING ((SELECT cloister_is_system()) OR id = ANY ((SELECT cloister_owned_collections())::uuid[]));
"""


class Migration(migrations.Migration):
    """Puts the second lock on the first table."""

    dependencies = [("access", "0001_initial")]

    operations = [
        migrations.RunSQL(GRANTS),
        migrations.RunSQL(IDENTITY),
        migrations.RunSQL(GUARD),
        migrations.RunSQL(COLLECTION),
    ]
