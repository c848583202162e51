-- Lanes: what is pending is looked through by consumer, creates and updates apart from deletions.
--
-- Without the lane in the index a create that is due would be found only behind all deletions that wait. As
-- before no time is part of it, so that marking a send touches no index.
create index resources_pending_lane_idx on resources (consumer_name, (deleted_at is not null), id)
where version <> observed_version or deleted_at is not null;

drop index resources_pending_idx;
