/** What ends a jq program early. */

/** `break $label`: back to where the label is. */
export class Break extends Error {
  constructor(readonly label: object) {
    super("break");
  }
}

/** The program has used up its time or its steps. No `try` catches it. */
export class JqLimit extends Error {}

const STEPS_PER_LOOK = 512;

/** Counts the steps of a program, and now and then looks at the clock. */
export class Budget {
  private steps = 0;

  constructor(private readonly limits: { deadline: number; stepsMax: number }) {}

  /** Adds steps. Throws a `JqLimit` when it is too much. */
  charge(steps: number): void {
    const before = this.steps;
    this.steps += steps;
    if (this.steps > this.limits.stepsMax) throw new JqLimit("too many steps");
    const isLook = Math.floor(before / STEPS_PER_LOOK) !== Math.floor(this.steps / STEPS_PER_LOOK);
    if (isLook && performance.now() > this.limits.deadline) throw new JqLimit("timeout");
  }
}
