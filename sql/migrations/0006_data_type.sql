-- Data types: a resource travels as the type of event that brought it.
--
-- Agents resync each type by itself, and say nothing of those that they do not know.
alter table resources add column data_type text not null
  default 'io.open-cluster-management.works.v1alpha1.manifestbundles';
