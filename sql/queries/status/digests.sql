-- Sums up what is known of the statuses of each of these consumers, for the question whether it still holds.
--
-- The hash of one line a resource, `<id> <status hash>`, in the order of the ids' bytes; an agent makes the same. And
-- one of `<id> <version>`, for what its agent is believed to hold.
--
-- $1 consumer_names
-- $2 data_type
-- not null: consumer_name, digest, version_digest
select consumer_name,
  encode(
    sha256(convert_to(
      string_agg(id || ' ' || coalesce(status_hash, ''), E'\n' order by id collate "C"),
      'UTF8'
    )),
    'hex'
  ) as digest,
  encode(
    sha256(convert_to(
      coalesce(
        string_agg(id || ' ' || observed_version, E'\n' order by id collate "C")
          filter (where observed_version > 0),
        ''
      ),
      'UTF8'
    )),
    'hex'
  ) as version_digest
from resources
where consumer_name = any ($1::text[]) and data_type = $2
group by consumer_name;
