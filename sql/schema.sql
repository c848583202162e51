-- Written by tools/sqlgen.ts (`bun run generate`). Do not edit.

CREATE OR REPLACE FUNCTION public.as_jsonb(document json)
 RETURNS jsonb
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE
AS $function$
begin
  return document::jsonb;
exception when others then
  return null;
end
$function$;

CREATE OR REPLACE FUNCTION public.feed_epoch()
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  select left(md5(concat_ws(
    ' ',
    (select epoch from feed),
    'feed'::regclass::oid,
    (select oid from pg_database where datname = current_database()),
    (select system_identifier from pg_control_system()),
    left(pg_walfile_name(pg_current_wal_insert_lsn()), 8)
  )), 12)
$function$;

create table changes (
  id bigint not null default nextval('change_ids'::regclass),
  xid xid8 not null default pg_current_xact_id(),
  kind text not null,
  resource_id text not null,
  source text not null,
  consumer_name text not null,
  sequence bigint,
  spec json,
  metadata jsonb,
  status json,
  status_event json,
  created_at timestamp with time zone not null default now(),
  resource_created_at timestamp with time zone not null,
  resource_deleted_at timestamp with time zone,
  name text,
  type text,
  data_type text,
  version integer,
  labels_before jsonb,
  constraint changes_kind_check CHECK ((kind = ANY (ARRAY['spec'::text, 'status'::text, 'deleted'::text]))),
  constraint changes_pkey PRIMARY KEY (xid, id, created_at)
) partition by RANGE (created_at);

create table changes_default partition of changes DEFAULT;
CREATE INDEX changes_default_created_at_idx ON public.changes_default USING btree (created_at);

create table consumers (
  id text not null,
  name text not null,
  labels jsonb,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  last_seen_at timestamp with time zone,
  agent_version text,
  constraint consumers_pkey PRIMARY KEY (id),
  constraint consumers_name_key UNIQUE (name)
) with (fillfactor=70);
CREATE INDEX consumers_created_at_id_idx ON public.consumers USING btree (created_at, id);
CREATE INDEX consumers_labels_idx ON public.consumers USING gin (labels);

create table events (
  id bigint generated always as identity not null,
  resource_id text not null,
  consumer_name text not null,
  is_deletion boolean not null,
  created_at timestamp with time zone not null default now(),
  constraint events_pkey PRIMARY KEY (consumer_name, is_deletion, id)
) with (autovacuum_vacuum_scale_factor=0, autovacuum_vacuum_threshold=10000);

create table feed (
  id boolean not null default true,
  epoch text not null default (gen_random_uuid())::text,
  horizon_xid xid8 not null default '0'::xid8,
  horizon_id bigint not null default 0,
  constraint feed_id_check CHECK (id),
  constraint feed_pkey PRIMARY KEY (id)
);

create table receipts (
  id text not null,
  resource_id text not null,
  version integer not null,
  created_at timestamp with time zone not null default now(),
  constraint receipts_pkey PRIMARY KEY (id)
);
CREATE INDEX receipts_created_at_idx ON public.receipts USING btree (created_at);

create table request_keys (
  caller text not null,
  key text not null,
  request_id text not null,
  fingerprint text not null,
  created_at timestamp with time zone not null default now(),
  claimed_at timestamp with time zone default now(),
  status integer,
  headers json,
  body text,
  body_bytes integer not null default 0,
  constraint request_keys_pkey PRIMARY KEY (caller, key)
);
CREATE INDEX request_keys_created_at_idx ON public.request_keys USING btree (created_at) INCLUDE (body_bytes);

create table resources (
  id text not null,
  name text not null,
  source text not null,
  consumer_name text not null,
  type text not null,
  version integer not null,
  spec json not null,
  spec_hash text not null,
  spec_event json not null,
  metadata jsonb,
  observed_version integer not null default 0,
  applied_version integer not null default 0,
  sent_version integer not null default 0,
  sent_at timestamp with time zone,
  attempts integer not null default 0,
  next_send_at timestamp with time zone not null default now(),
  status json,
  status_event json,
  status_version integer,
  status_sequence bigint,
  status_hash text,
  created_at timestamp with time zone not null default now(),
  updated_at timestamp with time zone not null default now(),
  deleted_at timestamp with time zone,
  data_type text not null default 'io.open-cluster-management.works.v1alpha1.manifestbundles'::text,
  labels_before jsonb,
  ttl_seconds integer,
  ttl_version integer,
  expires_at timestamp with time zone,
  finished_sequence bigint,
  deleted_by text,
  constraint resources_type_check CHECK ((type = ANY (ARRAY['Single'::text, 'Bundle'::text]))),
  constraint fk_resources_consumers FOREIGN KEY (consumer_name) REFERENCES consumers(name) ON UPDATE RESTRICT ON DELETE RESTRICT,
  constraint resources_pkey PRIMARY KEY (id),
  constraint resources_name_key UNIQUE (name)
) with (fillfactor=80);
CREATE INDEX resources_consumer_name_id_idx ON public.resources USING btree (consumer_name, id);
CREATE INDEX resources_expires_at_idx ON public.resources USING btree (expires_at) WHERE (expires_at IS NOT NULL);
CREATE INDEX resources_labels_idx ON public.resources USING gin (((metadata -> 'labels'::text))) WHERE ((metadata -> 'labels'::text) IS NOT NULL);
CREATE INDEX resources_pending_lane_idx ON public.resources USING btree (consumer_name, ((deleted_at IS NOT NULL)), id) WHERE ((version <> observed_version) OR (deleted_at IS NOT NULL));
CREATE INDEX resources_source_id_idx ON public.resources USING btree (source, id);
CREATE INDEX resources_type_created_at_id_idx ON public.resources USING btree (type, created_at, id);

create table tombstones (
  id text not null,
  source text not null,
  consumer_name text not null,
  version integer not null,
  last_sequence bigint,
  deleted_at timestamp with time zone not null,
  confirmed_at timestamp with time zone not null default now(),
  abandoned_by text,
  abandoned_at timestamp with time zone,
  is_confirmed boolean not null default true,
  deleted_by text,
  constraint tombstones_pkey PRIMARY KEY (id)
);
CREATE INDEX tombstones_confirmed_at_idx ON public.tombstones USING btree (confirmed_at);
