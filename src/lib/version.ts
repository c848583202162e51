/** The version that both programs print and report, from the one place where it is written. */

export { version as VERSION } from "../../package.json";
