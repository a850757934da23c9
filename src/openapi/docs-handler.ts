import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { createRegistry } from "@bufbuild/protobuf";
import { toErrorResponse } from "../gateway/error-response.ts";
import { GatewayError } from "../gateway/gateway-error.ts";
import type { HttpRequest, HttpResponse } from "../gateway/http-exchange.ts";
import { splitTarget } from "../gateway/raw-path.ts";
import { loadReferenceAssets } from "./reference-assets.ts";
import { referencePage, referencePolicy, referenceStarter } from "./reference-page.ts";
import { createStaticPage, hashOf, type StaticPage } from "./static-page.ts";

/**
 * Serves the OpenAPI document at `/openapi.json` and its reference page at `/docs`, those of the dialects at `/openapi/<name>.json` and
 * `/docs/<name>`, with all that the pages need, to GET and HEAD and without a key. The handler answers a request for one of these; every other one it leaves alone, and gives undefined.
 */
export async function createDocsHandler({ title, log, errorDomain }: DocsHandlerOptions): Promise<DocsHandler> {
  const pages = new Map<string, StaticPage | Missing>([
    ...(await documentPages(log)),
    ...(await referencePages(title, log)),
  ]);

  return (request, response) => {
    const { path } = splitTarget(request.url ?? "/");
    const page = pages.get(path);
    return page && answer(path, page, request, response);
  };

  async function answer(
    path: string,
    page: StaticPage | Missing,
    request: HttpRequest,
    response: HttpResponse,
  ): Promise<void> {
    if (request.method !== "GET" && request.method !== "HEAD") {
      const message = `${path} is only read: use GET or HEAD`;
      const error = new GatewayError("METHOD_NOT_ALLOWED", message, { headers: { allow: "GET, HEAD" } });
      sendError(request, response, error, errorDomain);
    } else if ("missing" in page) {
      sendError(request, response, new GatewayError("ROUTE_NOT_FOUND", page.missing), errorDomain);
    } else {
      await page(request, response);
    }
  }
}

export interface DocsHandlerOptions {
  /** Of the page. */
  readonly title: string;
  /** The `domain` of errors (AIP-193). */
  readonly errorDomain: string;
  /** Told at the start of what is missing. The service runs without it. */
  readonly log: { warn(message: string): void };
}

export type DocsHandler = (request: HttpRequest, response: HttpResponse) => Promise<void> | undefined;

/** A page that cannot be served, and what to do about it. */
interface Missing {
  readonly missing: string;
}

/** The documents, by their paths: the native API's first. The files are generated, below gen/ in the sources, and there in the build too. */
const documents: readonly ApiDocument[] = [
  { label: "Tellwire", path: "/openapi.json", page: "/docs" },
  { label: "Layer", path: "/openapi/layer.json", page: "/docs/layer" },
  { label: "Verifik", path: "/openapi/verifik.json", page: "/docs/verifik" },
  { label: "Layers", path: "/openapi/layers.json", page: "/docs/layers" },
];

interface ApiDocument {
  /** What the links between the pages call it. */
  readonly label: string;
  readonly path: string;
  readonly page: string;
}

/** A file whose name changes with its bytes never changes. */
const forever = "public, max-age=31536000, immutable";
/** Kept, but asked for each time whether it is still the same. */
const revalidated = "no-cache";

async function documentPages(log: DocsHandlerOptions["log"]): Promise<[string, StaticPage | Missing][]> {
  return await Promise.all(
    documents.map(async ({ path }): Promise<[string, StaticPage | Missing]> => {
      try {
        const bytes = await readFile(fileURLToPath(new URL(`../../gen${path}`, import.meta.url)));
        return [path, createStaticPage({ bytes, type: "application/json", cacheControl: revalidated })];
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        return [path, missing(log, `the OpenAPI document ${path} is missing: run \`npm run generate\` (${reason})`)];
      }
    }),
  );
}

async function referencePages(
  title: string,
  log: DocsHandlerOptions["log"],
): Promise<[string, StaticPage | Missing][]> {
  const assets = await loadReferenceAssets();
  if (assets === undefined) {
    const what =
      "the files of the reference page are missing: run `npm install` with development dependencies, or `npm run build`";
    const lost = missing(log, what);
    return documents.map(({ page }) => [page, lost]);
  }
  const files = {
    script: asset("swagger-ui", "js", "text/javascript; charset=utf-8", assets.script),
    style: asset("swagger-ui", "css", "text/css; charset=utf-8", assets.style),
    icon: asset("favicon", "png", "image/png", assets.icon),
    starter: asset("start", "js", "text/javascript; charset=utf-8", Buffer.from(referenceStarter)),
  };
  const { script, style, icon, starter } = files;
  const pages = documents.map((document): [string, StaticPage] => {
    // Relative names, so that they hold behind a proxy that puts a prefix before every path.
    const root = document.page === "/docs" ? "" : "../";
    const html = referencePage({
      title: document.label === title ? title : `${title}: ${document.label}`,
      document: root + document.path.slice(1),
      links: documents.map(({ label, page }) => ({ label, url: root + page.slice(1), isHere: page === document.page })),
      script: `${root}docs/${script.name}`,
      style: `${root}docs/${style.name}`,
      icon: `${root}docs/${icon.name}`,
      starter: `${root}docs/${starter.name}`,
    });
    const page = createStaticPage({
      bytes: Buffer.from(html),
      type: "text/html; charset=utf-8",
      cacheControl: revalidated,
      headers: { "content-security-policy": referencePolicy, "referrer-policy": "no-referrer" },
    });
    return [document.page, page];
  });
  const redirect: StaticPage = async (_request, response) => {
    response.setHeader("location", "../docs");
    response.writeHead(308);
    response.end();
  };
  return [
    ...pages,
    ["/docs/", redirect],
    ...Object.values(files).map(({ name, page: file }): [string, StaticPage] => [`/docs/${name}`, file]),
  ];
}

function asset(name: string, extension: string, type: string, bytes: Uint8Array): { name: string; page: StaticPage } {
  const page = createStaticPage({ bytes, type, cacheControl: forever });
  return { name: `${name}.${hashOf(bytes)}.${extension}`, page };
}

function missing(log: DocsHandlerOptions["log"], what: string): Missing {
  log.warn(what);
  return { missing: what };
}

const registry = createRegistry();

function sendError({ method }: HttpRequest, response: HttpResponse, error: GatewayError, errorDomain: string): void {
  const { httpStatus, header, body } = toErrorResponse(error, { errorDomain, registry });
  header.forEach((value, name) => {
    response.setHeader(name, value);
  });
  response.setHeader("content-type", "application/json");
  response.writeHead(httpStatus);
  if (method === "HEAD") response.end();
  else response.end(JSON.stringify(body));
}
