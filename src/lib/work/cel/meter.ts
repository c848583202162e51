/** Counts what an evaluation costs, and stops one that costs too much. */

import { CelError } from "./values.ts";

/** The budget is used up. No `&&` and no `||` absorbs it. */
export class BudgetError extends CelError {
  constructor(message = "CEL evaluation budget exceeded") {
    super(message);
  }
}

/** What one object may cost altogether, as the Go agent has it. */
const OBJECT_COST_MAX = 10_000_000;
const EXPRESSION_COST_MAX = 1_000_000;
/** Looking at the clock costs more than most steps. */
const STEPS_PER_LOOK = 2_000;

/** The limits of an evaluation. */
export interface MeterOptions {
  expressionCostMax?: number;
  objectCostMax?: number;
  /** Costs are estimates; this bounds what no estimate does. */
  elapsedMsMax?: number;
}

/** One meter for all expressions about one object. */
export class Meter {
  private expression = 0;
  private object = 0;
  private untilLook = STEPS_PER_LOOK;
  private deadline = Infinity;
  private readonly limits: Required<MeterOptions>;

  constructor(options: MeterOptions = {}) {
    this.limits = {
      expressionCostMax: EXPRESSION_COST_MAX,
      objectCostMax: OBJECT_COST_MAX,
      elapsedMsMax: 500,
      ...options,
    };
  }

  /** Begins another expression; what the ones before it cost stays counted. */
  start(): void {
    this.expression = 0;
    if (this.deadline === Infinity) this.deadline = performance.now() + this.limits.elapsedMsMax;
  }

  /** Adds a cost. Throws a `BudgetError` when it is too much. */
  charge(steps: number): void {
    this.expression += steps;
    this.object += steps;
    if (this.object > this.limits.objectCostMax) throw new BudgetError();
    if (this.expression > this.limits.expressionCostMax) {
      // The words of cel-go for its own limit.
      throw new BudgetError("operation cancelled: actual cost limit exceeded");
    }
    this.untilLook -= steps;
    if (this.untilLook > 0) return;
    this.untilLook = STEPS_PER_LOOK;
    if (performance.now() > this.deadline) throw new BudgetError();
  }
}
