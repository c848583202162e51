/** Writes numbers as Go does. */

/**
 * The shortest text of a double, as Go's formats `g` and `v` write it: with an exponent below 1e-4, and from
 * the given power of ten on.
 */
export function formatDouble(value: number, exponentFrom: number): string {
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "+Inf" : "-Inf";
  if (value === 0) return Object.is(value, -0) ? "-0" : "0";
  const [mantissa = "", exponent = "0"] = value.toExponential().split("e");
  const power = Number(exponent);
  if (power < -4 || power >= exponentFrom) {
    return `${mantissa}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  return plain(mantissa, power);
}

function plain(mantissa: string, power: number): string {
  const sign = mantissa.startsWith("-") ? "-" : "";
  const digits = mantissa.replace(/[-.]/g, "");
  if (power < 0) return `${sign}0.${"0".repeat(-power - 1)}${digits}`;
  const whole = digits.slice(0, power + 1).padEnd(power + 1, "0");
  const part = digits.slice(power + 1);
  return `${sign}${whole}${part === "" ? "" : `.${part}`}`;
}
