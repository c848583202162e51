-- Notes when consumers were last heard of, and by which version of the agent.
--
-- What another server has just written stays as it is, and a row that it is writing is not waited for.
--
-- $1 names
-- $2 agent_versions null where it is not known
-- $3 seconds_ago
with due as materialized (
  select stored.name, heard.agent_version, heard.seconds_ago
  from unnest($1::text[], $2::text[], $3::int[]) as heard (name, agent_version, seconds_ago)
  cross join lateral (
    select consumer.name
    from consumers consumer
    where consumer.name = heard.name
      and (
        coalesce(consumer.last_seen_at < now() - interval '50 s', true)
        or heard.agent_version is distinct from coalesce(consumer.agent_version, heard.agent_version)
      )
    for no key update skip locked
  ) stored
)
update consumers consumer
set last_seen_at = greatest(
    consumer.last_seen_at,
    now() - make_interval(secs => due.seconds_ago)
  ),
  agent_version = coalesce(due.agent_version, consumer.agent_version)
from due
where consumer.name = due.name;
