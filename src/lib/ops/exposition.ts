/**
 * Counters, gauges and histograms in the text format of Prometheus.
 *
 * The server uses a library for it; the agent is held to its size, and needs no more than this.
 */

/** What `Content-Type` the text has. */
export const EXPOSITION_TYPE = "text/plain; version=0.0.4; charset=utf-8";

type Labels = Record<string, string>;

export interface Counter {
  inc(labels: Labels): void;
}

export interface Histogram {
  observe(labels: Labels, value: number): void;
}

/** One value of a gauge. */
export interface Sample {
  labels?: Labels;
  value: number;
}

export interface Exposition {
  counter(name: string, help: string): Counter;
  /** `read` is asked whenever somebody reads the text; what is not finite is left out. */
  gauge(name: string, help: string, read: () => readonly Sample[]): void;
  /** As a gauge, for what only grows. */
  total(name: string, help: string, read: () => readonly Sample[]): void;
  histogram(name: string, help: string, buckets: readonly number[]): Histogram;
  text(): string;
}

/** How many label sets one metric may have: what peers send is among them, and may be anything. */
const SERIES_MAX = 1_000;

/** Creates one without metrics. */
export function createExposition(): Exposition {
  const blocks: (() => string)[] = [];
  const add = (name: string, help: string, type: string, lines: () => string[]) =>
    blocks.push(() => [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...lines()].join("\n"));
  const reading =
    (type: string) => (name: string, help: string, read: () => readonly Sample[]): void => {
      add(name, help, type, () =>
        read().filter(({ value }) => Number.isFinite(value))
          .map(({ labels = {}, value }) => `${name}${braces(labels)} ${value}`));
    };
  return {
    counter(name, help) {
      const counts = new Map<string, number>();
      add(name, help, "counter", () => [...counts].map(([key, count]) => `${name}${key} ${count}`));
      return {
        inc(labels) {
          const key = braces(labels);
          if (!counts.has(key) && counts.size >= SERIES_MAX) return;
          counts.set(key, (counts.get(key) ?? 0) + 1);
        },
      };
    },
    gauge: reading("gauge"),
    total: reading("counter"),
    histogram(name, help, buckets) {
      const series = new Map<string, { labels: Labels; counts: number[]; sum: number }>();
      add(
        name,
        help,
        "histogram",
        () => [...series.values()].flatMap((one) => shown(name, buckets, one)),
      );
      return {
        observe(labels, value) {
          const key = braces(labels);
          const found = series.get(key) ??
            { labels, counts: buckets.map(() => 0).concat(0), sum: 0 };
          if (!series.has(key) && series.size >= SERIES_MAX) return;
          series.set(key, found);
          const at = buckets.findIndex((bound) => value <= bound);
          const index = at < 0 ? buckets.length : at;
          found.counts[index] = (found.counts[index] ?? 0) + 1;
          found.sum += value;
        },
      };
    },
    text: () => `${blocks.map((block) => block()).join("\n")}\n`,
  };
}

/** A histogram's buckets hold what is below them, too. */
function shown(
  name: string,
  buckets: readonly number[],
  { labels, counts, sum }: { labels: Labels; counts: readonly number[]; sum: number },
): string[] {
  let total = 0;
  const lines = counts.map((count, index) => {
    total += count;
    const le = index < buckets.length ? String(buckets[index]) : "+Inf";
    return `${name}_bucket${braces({ ...labels, le })} ${total}`;
  });
  return [
    ...lines,
    `${name}_sum${braces(labels)} ${sum}`,
    `${name}_count${braces(labels)} ${total}`,
  ];
}

function braces(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
