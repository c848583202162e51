/** Every migration, oldest first. */

// Written by tools/sqlgen.ts (`bun run generate`). Do not edit.

import m1 from "../../sql/migrations/0001_consumers.sql" with { type: "text" };
import m2 from "../../sql/migrations/0002_resources.sql" with { type: "text" };
import m3 from "../../sql/migrations/0003_events.sql" with { type: "text" };
import m4 from "../../sql/migrations/0004_tombstones.sql" with { type: "text" };
import m5 from "../../sql/migrations/0005_changes.sql" with { type: "text" };
import m6 from "../../sql/migrations/0006_data_type.sql" with { type: "text" };
import m7 from "../../sql/migrations/0007_pulse.sql" with { type: "text" };
import m8 from "../../sql/migrations/0008_lanes.sql" with { type: "text" };
import m9 from "../../sql/migrations/0009_feed.sql" with { type: "text" };
import m10 from "../../sql/migrations/0010_idempotency.sql" with { type: "text" };
import m11 from "../../sql/migrations/0011_searches.sql" with { type: "text" };
import m12 from "../../sql/migrations/0012_ttl.sql" with { type: "text" };
import m13 from "../../sql/migrations/0013_storage.sql" with { type: "text" };

/** Every migration, oldest first. */
export const MIGRATIONS: readonly { id: string; text: string }[] = [
  { id: "0001_consumers", text: m1 },
  { id: "0002_resources", text: m2 },
  { id: "0003_events", text: m3 },
  { id: "0004_tombstones", text: m4 },
  { id: "0005_changes", text: m5 },
  { id: "0006_data_type", text: m6 },
  { id: "0007_pulse", text: m7 },
  { id: "0008_lanes", text: m8 },
  { id: "0009_feed", text: m9 },
  { id: "0010_idempotency", text: m10 },
  { id: "0011_searches", text: m11 },
  { id: "0012_ttl", text: m12 },
  { id: "0013_storage", text: m13 },
];
