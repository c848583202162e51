-- Resources: what sources want on the clusters, the ledger of its delivery, and its status.
create table resources (
  id text primary key,
  name text not null,
  source text not null,
  consumer_name text not null,
  type text not null,
  version integer not null,

  -- The spec. `spec` is the event's data, byte for byte; `spec_event` its other attributes. `metadata` is
  -- ManifestWork metadata, jsonb because people search it.
  spec json not null,
  spec_hash text not null,
  spec_event json not null,
  metadata jsonb,

  -- The ledger: what the agent is known to hold and to have applied, what was sent and when.
  observed_version integer not null default 0,
  applied_version integer not null default 0,
  sent_version integer not null default 0,
  sent_at timestamptz,
  attempts integer not null default 0,
  next_send_at timestamptz not null default now(),

  -- The last report. `status_sequence` outlives the status: a resource that is created again
  -- starts with the last sequence of its earlier life, which fences late messages.
  status json,
  status_event json,
  status_version integer,
  status_sequence bigint,
  status_hash text,

  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  deleted_at timestamptz,

  constraint resources_name_key unique (name),
  constraint resources_type_check check (type in ('Single', 'Bundle')),
  constraint fk_resources_consumers foreign key (consumer_name) references consumers (name)
    on update restrict on delete restrict
) with (
  -- Room on each page, so that a send or a report touches no index.
  fillfactor = 80
);

-- Resync pages through the resources of a consumer by id.
create index resources_consumer_name_id_idx on resources (consumer_name, id);

-- Sources ask for all that is theirs.
create index resources_source_id_idx on resources (source, id);

-- Pending: the agent does not hold this version yet, or has a deletion to confirm. The times are not part of
-- the index, so that marking a send does not touch it.
create index resources_pending_idx on resources (consumer_name, id)
where version <> observed_version or deleted_at is not null;

-- Lists are in order of creation.
create index resources_created_at_id_idx on resources (created_at, id);
