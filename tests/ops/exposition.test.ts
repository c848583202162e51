/** Metrics as text, as Prometheus reads it. */

import { expect, test } from "bun:test";
import { createExposition } from "../../src/lib/ops/exposition.ts";

test("counters, gauges and histograms are written as Prometheus reads them", () => {
  const exposition = createExposition();
  const calls = exposition.counter("calls_total", "Calls.");
  const seconds = exposition.histogram("seconds", "Time.", [0.1, 1]);
  exposition.gauge("works", "Works.", () => [{ value: 2 }, { labels: { a: "b" }, value: NaN }]);

  calls.inc({ code: "200" });
  calls.inc({ code: "200" });
  calls.inc({ code: 'a "quoted" \\ text\nof two lines' });
  for (const value of [0.1, 0.5, 7]) seconds.observe({ name: "apply" }, value);

  expect(exposition.text()).toBe(
    String.raw`# HELP calls_total Calls.
# TYPE calls_total counter
calls_total{code="200"} 2
calls_total{code="a \"quoted\" \\ text\nof two lines"} 1
# HELP seconds Time.
# TYPE seconds histogram
seconds_bucket{name="apply",le="0.1"} 1
seconds_bucket{name="apply",le="1"} 2
seconds_bucket{name="apply",le="+Inf"} 3
seconds_sum{name="apply"} 7.6
seconds_count{name="apply"} 3
# HELP works Works.
# TYPE works gauge
works 2
`,
  );
});

test("labels that peers choose do not fill the memory", () => {
  const exposition = createExposition();
  const received = exposition.counter("received_total", "Events.");

  for (let index = 0; index < 5_000; index++) received.inc({ source: String(index) });
  received.inc({ source: "0" });

  const lines = exposition.text().split("\n").filter((line) => line.startsWith("received_total{"));
  expect(lines).toHaveLength(1_000);
  expect(lines[0]).toBe('received_total{source="0"} 2');
});
