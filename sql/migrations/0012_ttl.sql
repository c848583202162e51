-- A resource may say how long it stays once its jobs are done: deleteOption.ttlSecondsAfterFinished.
--
-- The columns are set when the spec and the status are written, so that nobody has to look into documents later.
-- Nearly all rows have neither time, and nothing that is written often changes the index. Each time says what it was
-- taken from: a server that does not know of it yet writes a spec or a status without it.
alter table resources
  add column ttl_seconds integer,
  add column ttl_version integer,
  add column expires_at timestamptz,
  add column finished_sequence bigint,
  -- Who deleted it, if nobody asked.
  add column deleted_by text;

alter table tombstones add column deleted_by text;

update resources
set ttl_seconds = (as_jsonb(spec) #>> '{deleteOption,ttlSecondsAfterFinished}')::int,
  ttl_version = version
where spec::text like '%"ttlSecondsAfterFinished"%'
  and as_jsonb(spec) #>> '{deleteOption,ttlSecondsAfterFinished}' ~ '^[0-9]{1,9}$'
  and not coalesce(
    jsonb_exists(metadata -> 'labels', 'work.open-cluster-management.io/manifestworkreplicaset'),
    false
  );

update resources
set expires_at = now() + make_interval(secs => ttl_seconds), finished_sequence = status_sequence
where ttl_seconds is not null
  and deleted_at is null
  and status_version = version
  and as_jsonb(status) -> 'conditions' @> jsonb_build_array(
    jsonb_build_object('type', 'Complete', 'status', 'True', 'observedGeneration', version)
  );

create index resources_expires_at_idx on resources (expires_at) where expires_at is not null;
