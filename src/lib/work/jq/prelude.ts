/** Functions of jq that are written in jq. */

import type { Definition } from "./ast.ts";
import type { Names } from "./names.ts";
import { parseDefinitions } from "./parser.ts";

const SOURCE = `
def values: select(. != null);
def nulls: select(. == null);
def booleans: select(type == "boolean");
def numbers: select(type == "number");
def strings: select(type == "string");
def arrays: select(type == "array");
def objects: select(type == "object");
def iterables: select(type | . == "array" or . == "object");
def scalars: select(type | . != "array" and . != "object");
def select(f): if f then . else empty end;
def map(f): [.[] | f];
def map_values(f): .[] |= f;
def recurse(f): def r: ., (f | r); r;
def recurse(f; cond): def r: ., (f | select(cond) | r); r;
def paths: path(..) | select(length > 0);
def paths(f): . as $in | paths | select(. as $p | $in | getpath($p) | f);
def leaf_paths: paths(scalars);
def pick(f): . as $in | reduce path(f) as $p (null; setpath($p; $in | getpath($p)));
def add(f): reduce f as $x (null; . + $x);
def any: any(.[]; .);
def all: all(.[]; .);
def any(f): any(.[]; f);
def all(f): all(.[]; f);
def any(g; f): isempty(first(g | f | select(.))) | not;
def all(g; f): isempty(first(g | f | select(. | not)));
def isempty(g): label $out | (g | false, break $out), true;
def in(o): . as $k | o | has($k);
def IN(s): any(s == .; .);
def IN(src; s): any(src == s; .);
def inside(o): . as $i | o | contains($i);
def index($i): indices($i) | .[0];
def rindex($i): indices($i) | .[-1:][0];
def first: .[0];
def last: .[-1];
def last(f): reduce f as $x (null; $x);
def nth($n): .[$n];
def nth($n; f): if $n < 0 then error("nth does not support negative indices") else last(limit($n + 1; f)) end;
def skip($n; f): foreach f as $x ($n + 1; . - 1; if . <= 0 then $x else empty end);
def until(cond; f): def u: if cond then . else (f | u) end; u;
def while(cond; f): def w: if cond then ., (f | w) else empty end; w;
def repeat(f): def r: ., (f | r); r;
def from_entries: reduce .[] as $e ({}; . + {($e | (if .key == null then .k // .name // .Name // .K // .Key else .key end) | if type == "string" then . else tojson end):
  ($e | if has("value") then .value elif has("v") then .v else .Value end)});
def with_entries(f): to_entries | map(f) | from_entries;
def min_by(f): sort_by(f) | .[0];
def max_by(f): sort_by(f) | .[-1];
def min: sort | .[0];
def max: sort | .[-1];
def unique: group_by(.) | map(.[0]);
def unique_by(f): group_by(f) | map(.[0]);
def walk(f): def w: (if type == "object" then map_values(w) elif type == "array" then map(w) else . end) | f; w;
def transpose: if . == [] then [] else . as $in | [range([.[] | length] | max) as $i | [range($in | length) as $j | $in[$j][$i]]] end;
def toarray: if type == "array" then . else [.] end;
def combinations: if length == 0 then [] else .[0][] as $x | (.[1:] | combinations) as $w | [$x] + $w end;
def ascii: [.] | implode;
def capture(re): capture(re; null);
def capture($re; $flags): match($re; $flags) | [.captures[] | select(.name != null) | {key: .name, value: .string}] | from_entries;
def scan(re): scan(re; null);
def scan($re; $flags): match($re; "g" + $flags) | if .captures == [] then .string else [.captures[].string] end;
def splits($re): splits($re; null);
def splits($re; $flags): split($re; $flags) | .[];
def split($re; $flags): . as $s | [foreach ((match($re; $flags + "g") | [.offset, .length]), null) as $m ([0, null]; if $m == null then [.[0], $s[.[0]:]] else [$m[0] + $m[1], $s[.[0]:$m[0]]] end; .[1])];
def sub(re; str): sub(re; str; "");
def gsub(re; str): sub(re; str; "g");
def gsub(re; str; $flags): sub(re; str; $flags + "g");
def sub($re; str; $flags): . as $s | (reduce (match($re; $flags)) as $m ([0, ""];
  [$m.offset + $m.length, .[1] + $s[.[0]:$m.offset] + ($m | [.captures[] | select(.name != null) | {key: .name, value: .string}] | from_entries | str)])) | .[1] + $s[.[0]:];
def isvalid(f): try (f | true) catch false;
def finites: select(isinfinite or isnan | not);
def normals: select(isinfinite or isnan or . == 0 | not);
`;

const definitions: ReadonlyMap<string, Definition> = new Map(
  parseDefinitions(SOURCE).map((definition) => [
    `${definition.name}/${definition.params.length}`,
    definition,
  ]),
);

/** The names that every program sees. The functions see them too. */
export const preludeNames: Names = {
  find(name) {
    const definition = definitions.get(name);
    return definition === undefined
      ? undefined
      : { kind: "function", definition, names: preludeNames };
  },
};
