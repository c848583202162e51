/** What a token may change, by the roles that it names. */

import { expect, test } from "bun:test";
import { rightsOf } from "../../src/lib/access/rights.ts";

const own = { mayChange: "own", source: "a" };
const nothing = { mayChange: "nothing" };
const everything = { mayChange: "everything" };

test.each([
  [{ roles: ["viewer"] }, nothing],
  [{ roles: "viewer" }, nothing],
  [{ roles: "offline_access viewer" }, nothing],
  [{ roles: "source:a" }, own],
  [{ realm_access: { roles: "viewer" } }, nothing],
  [{ resource_access: { maestro: { roles: ["viewer", "source:a"] } } }, own],
  [{ roles: "viewer", realm_access: { roles: ["admin"] } }, everything],
  [
    { roles: 7, realm_access: { roles: [7, null] }, resource_access: { maestro: "viewer" } },
    everything,
  ],
  [{}, everything],
])("M28: the claims %j let their bearer change %j", (claims, rights) => {
  const caller = { name: "somebody", groups: [], claims, isAdmin: false };

  expect(rightsOf(caller)).toEqual(rights as ReturnType<typeof rightsOf>);
});
