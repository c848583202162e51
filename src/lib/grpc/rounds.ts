/**
 * What many connections are due again and again, by one timer for all of them.
 *
 * Turns are on a grid: those of the same quarter of a second go together, and all of one connection, so that its heartbeat and its
 * ping leave in one write. Any number of connections at rest wakes the server four times a second.
 */

/** Has its turn; `dueMs` is the same for all that go together. */
type Turn = (dueMs: number) => void;

export interface Rounds {
  /**
   * Gives a turn every so many milliseconds from now on, the first one perhaps earlier: together with that of the same
   * connection at the same pace, if there is one. Returns what ends it.
   */
  join(intervalMs: number, turn: Turn, connection?: symbol): () => void;
}

const GRID_MS = 250;
/** A pace that is not much longer than the grid has a finer one. */
const SLOTS_MIN = 10;
/** Before others have their turn of the event loop: thousands may have come together, and a turn is a write. */
const TURNS_AT_ONCE_MAX = 200;

interface Member {
  stepMs: number;
  dueMs: number;
  turn: Turn;
}

/** Makes rounds without members, which cost nothing. */
export function createRounds(): Rounds {
  const slots = new Map<number, Set<Member>>();
  /** The first of each connection. */
  const leaders = new Map<symbol, Member>();
  let timer: { handle: Timer; dueMs: number } | undefined;

  const put = (member: Member) => {
    const members = slots.get(member.dueMs) ?? new Set();
    slots.set(member.dueMs, members.add(member));
  };
  const start = () => {
    const dueMs = Math.min(...slots.keys());
    if (timer?.dueMs === dueMs) return;
    clearTimeout(timer?.handle);
    const delayMs = Math.max(1, Math.ceil(dueMs - performance.now()));
    timer = slots.size === 0 ? undefined : { handle: setTimeout(run, delayMs, dueMs), dueMs };
  };
  const run = (timedMs: number) => {
    timer = undefined;
    // It may be early by a fraction.
    const now = Math.max(timedMs, performance.now());
    let count = 0;
    for (const [dueMs, members] of [...slots]) {
      if (dueMs > now) continue;
      for (const member of [...members]) {
        if (count++ === TURNS_AT_ONCE_MAX) return start();
        // Another's turn may have ended it.
        if (!members.delete(member)) continue;
        // Turns that were missed are left out, and what is spread over the grid stays so.
        const { stepMs, turn } = member;
        member.dueMs += stepMs * (Math.floor((now - dueMs) / stepMs) + 1);
        put(member);
        turn(dueMs);
      }
      slots.delete(dueMs);
    }
    start();
  };

  return {
    join(intervalMs, turn, connection) {
      const gridMs = Math.min(GRID_MS, intervalMs / SLOTS_MIN);
      const stepMs = Math.floor(intervalMs / gridMs) * gridMs;
      const dueMs = Math.floor((performance.now() + intervalMs) / gridMs) * gridMs;
      const member = { stepMs, dueMs, turn };
      const leader = connection === undefined ? undefined : leaders.get(connection);
      if (leader?.stepMs === stepMs) member.dueMs = leader.dueMs;
      else if (connection !== undefined && leader === undefined) leaders.set(connection, member);
      put(member);
      start();
      return () => {
        if (connection !== undefined && leaders.get(connection) === member) {
          leaders.delete(connection);
        }
        const members = slots.get(member.dueMs);
        if (members?.delete(member) && members.size === 0) slots.delete(member.dueMs);
        start();
      };
    },
  };
}
