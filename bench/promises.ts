/** What is promised of speed and size, and which command shows it. */

export interface Promised {
  /** What a figure names in `promise`. */
  id: string;
  what: string;
  /** At least, or at most, so much. */
  bound: "≥" | "≤";
  limit: number;
  unit: string;
  /** The same work by the Go server, where it was measured on a machine of this kind. */
  go?: string;
}

export interface Bench {
  /** The arguments after `bun`. */
  command: string;
  /** Too long to be run several times. */
  isLong?: boolean;
  promises: Promised[];
}

const atLeast = (limit: number, unit = "1/s") => ({ bound: "≥", limit, unit }) as const;
const atMost = (limit: number, unit = "ms") => ({ bound: "≤", limit, unit }) as const;

export const BENCHES: readonly Bench[] = [
  {
    command: "bench/accept.ts --callers 1,32",
    promises: [
      { id: "accept-3kb-32", what: "creates of 3 KB, 32 callers", ...atLeast(4_000), go: "217" },
      { id: "accept-3kb-32-cpu", what: "CPU for each, server and PostgreSQL", ...atMost(0.35) },
      { id: "accept-share", what: "of what PostgreSQL can store", ...atLeast(0.5, "") },
      { id: "accept-3kb-1-p50", what: "one caller, p50", ...atMost(1.5), go: "3.3" },
    ],
  },
  {
    command: "bench/accept.ts --callers 32 --bytes 50176 --resources 5000",
    promises: [
      { id: "accept-49kb-32", what: "creates of 49 KB, 32 callers", ...atLeast(700), go: "123" },
    ],
  },
  {
    command: "bench/agent.ts --runs 1",
    promises: [
      { id: "agent-apply", what: "objects applied and reported", ...atLeast(400) },
      { id: "agent-apply-memory", what: "the agent meanwhile", ...atMost(110, "MB") },
    ],
  },
  ...(["grpc", "mqtt"] as const).map((road): Bench => ({
    command: `bench/deliver.ts --road ${road}`,
    promises: [
      {
        id: `deliver-${road}`,
        what: `delivered over ${road}`,
        ...atLeast(3_000),
        go: road === "grpc" ? "187" : "50",
      },
      {
        id: `deliver-at-once-${road}`,
        what: `1,000 creates over ${road}, after the last accept`,
        ...atMost(0.5, "s"),
      },
    ],
  })),
  ...(["grpc", "mqtt"] as const).map((road): Bench => {
    const go = road === "grpc" ? ["15", "1,140", "1,990"] : ["21", "1,260", "1,970"];
    return {
      command: `bench/latency.ts --road ${road}`,
      promises: [
        { id: `steady-${road}-p50`, what: `10/s over ${road}, p50`, ...atMost(7), go: go[0] ?? "" },
        { id: `steady-${road}-p99`, what: `10/s over ${road}, p99`, ...atMost(20) },
        {
          id: `burst-${road}-p50`,
          what: `bursts of 100 over ${road}, p50`,
          ...atMost(60),
          go: go[1] ?? "",
        },
        {
          id: `burst-${road}-p99`,
          what: `bursts of 100 over ${road}, p99`,
          ...atMost(150),
          go: go[2] ?? "",
        },
      ],
    };
  }),
  ...(["grpc", "mqtt"] as const).map((road): Bench => ({
    command: `bench/reports.ts --road ${road}`,
    promises: [
      { id: `reports-fed-${road}`, what: `reports over ${road}`, ...atLeast(5_000), go: "75–90" },
      { id: `reports-fed-${road}-cpu`, what: "CPU for each, both", ...atMost(0.3), go: "14–25" },
      { id: `reports-fed-${road}-p99`, what: "from agent to source, p99", ...atMost(100) },
    ],
  })),
  {
    command: "bench/new_agent.ts --resources 20000",
    isLong: true,
    promises: [{
      id: "reports-at-once",
      what: "reports missing of 20,000 at once, mosquitto by its defaults",
      ...atMost(0, ""),
      go: "57 % lost",
    }],
  },
  {
    command: "bench/list.ts",
    promises: [
      { id: "list-600-3kb", what: "list 600 of 6,000 × 3 KB", ...atMost(40), go: "390" },
      { id: "list-600-49kb", what: "list 600 of 6,000 × 49 KB", ...atMost(300), go: "3,500" },
      { id: "list-6000-49kb", what: "list all 6,000 × 49 KB", ...atLeast(120, "MB/s"), go: "7.8" },
      { id: "list-growth", what: "growth of the server", ...atMost(60, "MB"), go: "870" },
    ],
  },
  {
    command: "bench/resync.ts",
    promises: [
      { id: "resync-same", what: "resync of 6,000, nothing changed", ...atMost(50) },
      {
        id: "resync-same-bytes",
        what: "the same, sent and received",
        ...atMost(2, "KB"),
        go: "444",
      },
      { id: "resync-one", what: "resync of 6,000, one changed", ...atMost(50), go: "1,330" },
      { id: "resync-list", what: "a Go agent's full list", ...atMost(200), go: "1,330" },
      {
        id: "resync-nothing",
        what: "an agent that knows nothing",
        ...atMost(3_000),
        go: "119,000",
      },
    ],
  },
  {
    command: "bench/idle.ts",
    promises: [
      { id: "start", what: "start to healthy", ...atMost(200), go: "150" },
      { id: "migrate", what: "migration of an empty database", ...atMost(400), go: "260" },
      { id: "idle-server-rss", what: "memory of an idle server", ...atMost(100, "MB"), go: "78" },
      { id: "idle-agent-rss", what: "memory of an idle agent", ...atMost(80, "MB") },
      { id: "idle-server-cpu", what: "CPU time of an idle server", ...atMost(0.5, "% of a core") },
      { id: "idle-agent-cpu", what: "CPU time of an idle agent", ...atMost(0.5, "% of a core") },
    ],
  },
  {
    command: "bench/agent_quiet.ts",
    isLong: true,
    promises: [
      { id: "quiet-writes", what: "writes of a quiet agent, 10 minutes", ...atMost(0, "writes") },
      { id: "quiet-reads", what: "reads of a quiet agent", ...atMost(1, "1/s") },
      { id: "quiet-restart-writes", what: "writes after a restart", ...atMost(0, "writes") },
      {
        id: "quiet-restart",
        what: "messages after a restart, 1,000 works",
        ...atMost(2, "messages"),
      },
      { id: "quiet-foreign", what: "memory for 10,000 objects of others", ...atMost(10, "MB") },
      { id: "quiet-heal-p99", what: "a change by others set right, p99", ...atMost(5_000) },
    ],
  },
  {
    command: "bench/scale.ts",
    isLong: true,
    promises: [
      { id: "scale-p50", what: "10,000 agents, 1,000,000 resources, 500/s, p50", ...atMost(50) },
      { id: "scale-p99", what: "the same, p99", ...atMost(500) },
      { id: "scale-rss", what: "memory of the server", ...atMost(800, "MB") },
      { id: "scale-per-agent", what: "memory for each agent", ...atMost(50, "KB") },
    ],
  },
  {
    command: "bench/slopes.ts",
    isLong: true,
    promises: [
      {
        id: "slope-agents",
        what: "CPU for a change, 10,000 agents to 10",
        ...atMost(1.5, "times"),
      },
      {
        id: "slope-resources",
        what: "CPU for a change, 1,000,000 resources to 10,000",
        ...atMost(1.5, "times"),
      },
    ],
  },
  {
    command: "bench/soak.ts",
    isLong: true,
    promises: [
      { id: "soak-server", what: "growth of the server, one hour", ...atMost(10, "MB/h") },
      { id: "soak-agent", what: "growth of 50 agents, one hour", ...atMost(10, "MB/h") },
      { id: "soak-postgres", what: "growth of PostgreSQL, one hour", ...atMost(20, "MB/h") },
    ],
  },
  {
    command: "bench/return.ts",
    isLong: true,
    promises: [{ id: "return", what: "10,000 agents return at once", ...atMost(30, "s") }],
  },
];
