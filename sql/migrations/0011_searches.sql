-- Searches by labels read an index, and lists are read in order and counted by one.
--
-- None of their columns changes with a status, a send or a sign of life, so these updates stay on their page.
create index resources_labels_idx on resources using gin ((metadata -> 'labels'))
  where metadata -> 'labels' is not null;
create index consumers_labels_idx on consumers using gin (labels);
create index consumers_created_at_id_idx on consumers (created_at, id);

create index resources_type_created_at_id_idx on resources (type, created_at, id);
drop index resources_created_at_id_idx;

-- Documents are kept as they came, with numbers that jsonb cannot hold. One of them must not end a search.
create function as_jsonb(document json) returns jsonb language plpgsql immutable parallel safe as $$
begin
  return document::jsonb;
exception when others then
  return null;
end
$$;
