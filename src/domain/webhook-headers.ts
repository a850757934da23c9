import type { FieldViolation } from "../errors.ts";

/**
 * Checks the headers that a customer wants on each request. Names must be tokens and values visible ASCII with spaces and tabs inside
 * (RFC 9110, 5.1 and 5.5; stricter in that bytes beyond ASCII are refused), and no name may be one that HTTP, Tellwire, a proxy or a
 * cloud's metadata service claims. Answers with one violation for each bad header, under `field`, and never repeats a value.
 */
export function checkWebhookHeaders(headers: Readonly<Record<string, string>>, field = "headers"): FieldViolation[] {
  const violations: FieldViolation[] = [];
  const seen = new Set<string>();
  const entries = Object.entries(headers);
  if (entries.length > MAX_HEADERS) {
    violations.push({ field, description: `at most ${MAX_HEADERS} headers are allowed` });
  }
  for (const [name, value] of entries) {
    const lowerName = name.toLowerCase();
    const description =
      nameViolation(name, lowerName) ?? valueViolation(value) ?? (seen.has(lowerName) ? TWICE : undefined);
    if (description) violations.push({ field: headerField(field, name), description });
    seen.add(lowerName);
  }
  const size = entries.reduce((sum, [name, value]) => sum + name.length + value.length, 0);
  if (violations.length === 0 && size > MAX_SIZE) {
    violations.push({ field, description: `must have at most ${MAX_SIZE} characters together, names and values` });
  }
  return violations;
}

/** How violations name one header: `headers["x-shop"]`. What is too long for a name is cut short. */
export function headerField(field: string, name: string): string {
  return `${field}[${JSON.stringify(name.length > MAX_NAME_LENGTH ? `${name.slice(0, MAX_NAME_LENGTH)}…` : name)}]`;
}

const MAX_HEADERS = 20;
const MAX_NAME_LENGTH = 128;
const MAX_VALUE_LENGTH = 4096;
/** All of them: common servers take 8 KiB of headers, some 16 KiB, and those of the format come on top. */
const MAX_SIZE = 12 * 1024;
const TWICE = "is given twice: names are compared without regard to case";

function nameViolation(name: string, lowerName: string): string | undefined {
  // Not the lower-cased name: some letters beyond ASCII become ASCII by that.
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(name)) {
    return "the name must be letters, digits and the characters !#$%&'*+-.^_`|~";
  }
  if (name.length > MAX_NAME_LENGTH) return `the name must have at most ${MAX_NAME_LENGTH} characters`;
  // CGI and what descends from it (RFC 3875, 4.1.18) take both for the same: X_Forwarded_For would be X-Forwarded-For there.
  const hyphenated = lowerName.replaceAll("_", "-");
  if (CLAIMED_NAMES.has(hyphenated) || CLAIMED_PREFIXES.some((prefix) => hyphenated.startsWith(prefix))) {
    return "the name is reserved: choose another one, such as one beginning with x- and your company's name";
  }
  return undefined;
}

function valueViolation(value: string): string | undefined {
  if (value.length > MAX_VALUE_LENGTH) return `the value must have at most ${MAX_VALUE_LENGTH} characters`;
  if (!/^[\t\x20-\x7e]*$/.test(value)) return "the value must be visible ASCII characters, spaces and tabs";
  if (value !== value.trim()) return "the value must not begin or end with a space or tab";
  return undefined;
}

const CLAIMED_NAMES = new Set([
  // Hop-by-hop (RFC 9110, 7.6.1) and the framing of the message.
  "connection",
  "keep-alive",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
  "expect",
  "max-forwards",
  "early-data",
  "host",
  // What the client says about itself and what it can read.
  "user-agent",
  "accept-encoding",
  // What proxies say about whom a request comes from, and where it was meant to go.
  "forwarded",
  "via",
  "cdn-loop",
  "x-real-ip",
  "x-client-ip",
  "x-cluster-client-ip",
  "client-ip",
  "true-client-ip",
  "cf-connecting-ip",
  "x-host",
  "x-original-host",
  "x-original-url",
  "x-rewrite-url",
  // These make another request of a POST.
  "x-http-method",
  "x-http-method-override",
  "x-method-override",
  // Metadata services of clouds ask for one of these before they answer: Azure and others, and Azure's managed identities and its host.
  "metadata",
  "x-identity-header",
  "x-ms-version",
  "x-ms-agent-name",
  // `__proto__`, a name that objects of JavaScript do not keep.
  "--proto--",
]);

const CLAIMED_PREFIXES = [
  "proxy-",
  "content-",
  // Browsers alone may say where a request comes from.
  "sec-",
  "x-forwarded-",
  "x-envoy-",
  // Of the formats: Standard Webhooks, CloudEvents, and the dialects.
  "webhook-",
  "ce-",
  "tellwire-",
  "x-tellwire-",
  "layer-webhook-",
  "x-verifik-",
  "x-layers-",
  // Metadata services: Google (`metadata-flavor`, `x-google-…`), AWS, Azure, Alibaba.
  "metadata-",
  "x-google-",
  "x-aws-ec2-",
  "x-azure-",
  "x-aliyun-",
];
