import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { describe, expect, it } from "vitest";

const root = join(import.meta.dirname, "..");

/** Which folders of src a folder may import besides itself. A rule that ends in .ts allows that one file. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  domain: ["errors.ts"],
  store: ["domain", "errors.ts"],
  outbound: ["domain", "errors.ts"],
  broker: ["domain", "errors.ts", "store/sql.ts", "store/is-about-content.ts"],
  usecases: ["domain", "errors.ts", "store", "broker", "outbound"],
  delivery: ["domain", "errors.ts", "store", "broker", "outbound"],
  api: ["usecases", "domain", "errors.ts", "gen"],
  dialects: ["usecases", "domain", "errors.ts"],
  gateway: ["gen"],
  openapi: ["gateway", "errors.ts", "gen"],
  telemetry: ["domain", "errors.ts"],
  // What the variables mean is said where it is used: a range of addresses by the guard, a key by the box.
  config: ["domain", "outbound", "errors.ts"],
};

/** These wire things, and import everything: the files beside the folders, and the commands. */
const wiring = ["commands"];

interface Import {
  from: string;
  to: string;
}

const sources = filesBelow("src");
const imports = sources.flatMap(importsOf);

it("there are sources and imports to look at", () => {
  expect(sources.length).toBeGreaterThan(20);
  expect(imports.length).toBeGreaterThan(20);
});

describe("who may import whom", () => {
  it("every folder of src has a rule", () => {
    const folders = new Set(sources.map(folderOf).filter((folder) => folder !== undefined));
    expect([...folders].filter((folder) => allowed[folder] === undefined && !wiring.includes(folder))).toEqual([]);
  });

  it.each(Object.entries(allowed))("%s imports nothing but itself, packages and %j", (folder, rules) => {
    const broken = imports
      .filter(({ from }) => folderOf(from) === folder)
      .filter(({ to }) => !isAllowed(to, [folder, ...rules]))
      .map(({ from, to }) => `${from} imports ${to}`);
    expect(broken).toEqual([]);
  });

  it("errors.ts imports nothing of the house", () => {
    expect(imports.filter(({ from }) => from === "src/errors.ts")).toEqual([]);
  });

  it("no file imports itself by way of others", () => {
    expect(findCycle(imports)).toEqual([]);
  });
});

describe("the habits of the code", () => {
  const everywhere = [...sources, ...filesBelow("test"), ...filesBelow("scripts"), ...filesBelow("bin")];

  it("no file has more than 400 lines", () => {
    expect(everywhere.filter((path) => read(path).split("\n").length > 401)).toEqual([]);
  });

  it("files are named in kebab-case", () => {
    const name = /^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z0-9]+(-[a-z0-9]+)*)*\.(ts|mjs)$/;
    const code = everywhere.filter((path) => /\.(ts|mjs|js)$/.test(path));
    expect(code.filter((path) => !name.test(path.split("/").at(-1) ?? ""))).toEqual([]);
  });

  it("no file is a box for everything", () => {
    const names = /(^|\/)(utils?|helpers?|common|types|misc|index)\.ts$/;
    expect(sources.filter((path) => names.test(path))).toEqual([]);
  });

  it("exports have names, and no file passes on the exports of others", () => {
    const pattern = /^export (default\b|\*|\{[^}]*\} from\b)/m;
    expect(sources.filter((path) => pattern.test(read(path)))).toEqual([]);
  });

  it("only outbound opens connections by itself, so that every request to a receiver goes through the guard", () => {
    const servers = [
      "createServer",
      "createSecureServer",
      "createSecureContext",
      "STATUS_CODES",
      "constants",
      "ServerResponse",
      "Http2ServerResponse",
      "isIP",
      "isIPv4",
      "isIPv6",
    ];
    const network =
      /^import\s+(?!type\b)(?:\{([^}]*)\}|[^"]*?)\s*from\s*"(?:undici|axios|(?:node:)?(?:https?|http2|net|tls|dgram|dns)(?:\/promises)?)"/gm;
    const outside = sources.filter((path) => folderOf(path) !== "outbound");
    const openers = outside.filter((path) => {
      const imported = [...read(path).matchAll(network)].flatMap(([, names = "*"]) => names.split(","));
      const values = imported.map((name) => name.trim()).filter((name) => name !== "" && !name.startsWith("type "));
      return values.some((name) => !servers.includes(name.split(/\s+as\s+/)[0] ?? ""));
    });
    expect(openers).toEqual([]);
    const callers = outside.filter((path) =>
      /\b(?:fetch|XMLHttpRequest|WebSocket|EventSource)\(|\b(?:require|import)\(\s*"(?:undici|(?:node:)?(?:https?|http2|net|tls|dgram|dns))/.test(
        read(path),
      ),
    );
    expect(callers).toEqual([]);
  });

  it("only config.ts reads the environment", () => {
    const readers = sources.filter((path) =>
      /process\s*\.\s*env\b|process\s*\[|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b/.test(read(path)),
    );
    expect(readers).toEqual(["src/config.ts"]);
    expect(sources.filter((path) => /import\s*\{[^}]*\benv\b[^}]*\}\s*from\s*"node:process"/.test(read(path)))).toEqual(
      [],
    );
  });
});

describe("the rules themselves", () => {
  it("a cycle is found", () => {
    const edges = [
      { from: "a", to: "b" },
      { from: "b", to: "c" },
      { from: "c", to: "b" },
    ];
    expect(findCycle(edges)).toEqual(["b", "c", "b"]);
    expect(findCycle(edges.slice(0, 2))).toEqual([]);
  });

  it("a rule for a file allows no other file of its folder", () => {
    expect(isAllowed("src/store/sql.ts", ["store/sql.ts"])).toBe(true);
    expect(isAllowed("src/store/sql/claim.ts", ["store/sql.ts"])).toBe(false);
    expect(isAllowed("src/storefront/a.ts", ["store"])).toBe(false);
    expect(isAllowed("gen/tellwire/v1/event_pb.ts", ["gen"])).toBe(true);
  });
});

function isAllowed(path: string, rules: readonly string[]): boolean {
  return rules.some((rule) => {
    const place = rule === "gen" ? "gen" : `src/${rule}`;
    return rule.endsWith(".ts") ? path === place : path.startsWith(`${place}/`);
  });
}

/** `store` of `src/store/sql/claim.ts`; undefined for a file of src itself. */
function folderOf(path: string): string | undefined {
  const [, folder, ...rest] = path.split("/");
  return rest.length > 0 ? folder : undefined;
}

function filesBelow(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs|js)$/.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)).split(sep).join("/"))
    .sort();
}

/** What a file imports of this repository; packages are left out. */
function importsOf(path: string): Import[] {
  const specifiers = read(path).matchAll(/^(?:import|export)\b[^"';]*?"(\.[^"]+)"|\bimport\(\s*"(\.[^"]+)"/gm);
  return [...specifiers].map(([, stated, dynamic]) => {
    const to = join(root, dirname(path), stated ?? dynamic ?? "");
    return { from: path, to: relative(root, to).split(sep).join("/") };
  });
}

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** The files of one cycle in order, the first again at the end; empty where there is none. */
function findCycle(edges: readonly Import[]): string[] {
  const targets = Map.groupBy(edges, ({ from }) => from);
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (finished.has(path)) return [];
    for (const { to } of targets.get(path) ?? []) {
      const cycle = visit(to, [...trail, path]);
      if (cycle.length > 0) return cycle;
    }
    finished.add(path);
    return [];
  };
  for (const path of targets.keys()) {
    const cycle = visit(path, []);
    if (cycle.length > 0) return cycle;
  }
  return [];
}
