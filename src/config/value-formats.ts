import { z } from "zod";
import { type ClientIdentity, parseClientIdentity } from "../domain/client-identity.ts";
import { parseSecretsKey } from "../domain/secret-box.ts";
import { TellwireError } from "../errors.ts";
import { parseRange } from "../outbound/address-class.ts";

/** Where a server listens. */
export interface SocketAddress {
  /** A host name or an address; undefined: every interface. */
  readonly host: string | undefined;
  /** 0: a free one. */
  readonly port: number;
  /** The address as it was written. */
  readonly text: string;
}

/** `host:port`, `[::1]:port`, or `:port` for every interface. */
export const socketAddress = z.string().transform((text, context): SocketAddress => {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]*)):(\d{1,5})$/.exec(text) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    return refuse(
      context,
      `must be host:port, such as 127.0.0.1:8080, [::1]:8080, or :8080 for every interface; it is ${quote(text)}`,
    );
  }
  return { host: bracketed ?? (plain || undefined), port: Number(port), text };
});

/** A whole number within the bounds, both included. */
export function wholeNumber(minimum: number, maximum: number) {
  return z.string().transform((text, context): number => {
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= minimum && value <= maximum) return value;
    return refuse(context, `must be a whole number from ${minimum} to ${maximum}; it is ${quote(text)}`);
  });
}

/** `true` or `false`. */
export const trueOrFalse = z.string().transform((text, context): boolean => {
  if (text === "true" || text === "false") return text === "true";
  return refuse(context, `must be true or false; it is ${quote(text)}`);
});

/** One of the words. */
export function oneOf<const Word extends string>(words: readonly Word[]) {
  return z.string().transform((text, context): Word => {
    const word = words.find((known) => known === text);
    return word ?? refuse(context, `must be one of ${words.join(", ")}; it is ${quote(text)}`);
  });
}

/** Waiting times in ms, s, m, h or d, from 100 ms to 7 days each, joined by commas; as milliseconds. */
export const durations = list((text): number => {
  const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text) ?? [];
  const durationMs = Number(amount) * (unitsMs[unit ?? ""] ?? Number.NaN);
  if (durationMs >= 100 && durationMs <= 7 * dayMs) return durationMs;
  throw new Refusal(
    `must be waiting times from 100ms to 7d joined by commas, such as 5s,5m,2h; ${quote(text)} is none`,
  );
});

/** One span of time, in milliseconds. */
export const duration = z.string().transform((text, context): number => {
  const [, amount, unit] = /^(\d+)(ms|s|m|h|d)$/.exec(text.trim()) ?? [];
  const durationMs = Number(amount) * (unitsMs[unit ?? ""] ?? Number.NaN);
  if (durationMs >= 1000 && durationMs <= 3650 * dayMs) return durationMs;
  context.addIssue({
    code: "custom",
    message: `must be a time from 1s to 3650d, such as 12h or 30d; ${quote(text)} is none`,
  });
  return z.NEVER;
});

/** Addresses and ranges joined by commas. */
export const addressRanges = list((text): string => {
  if (parseRange(text) !== undefined) return text;
  throw new Refusal(
    `must be addresses or ranges joined by commas, such as 10.0.0.0/8,fd00::/8; ${quote(text)} is none`,
  );
});

/** Port numbers joined by commas. */
export const ports = list((text): number => {
  if (/^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535) return Number(text);
  throw new Refusal(`must be ports from 1 to 65535 joined by commas, such as 81,591; ${quote(text)} is none`);
});

/** `*`, or origins of web pages joined by commas. */
export const corsOrigins = list((text): string => {
  if (text === "*" || (/^https?:/.test(text) && URL.canParse(text) && new URL(text).origin === text)) return text;
  throw new Refusal(`must be * or origins joined by commas, such as https://app.example.com; ${quote(text)} is none`);
}).transform((origins): "*" | string[] => (origins.includes("*") ? "*" : origins));

/** NATS servers joined by commas. What is wrong is not repeated: there may be a password in it. */
export const natsServers = list((text): string => {
  if (/^(nats|tls):\/\/[^\s/]+\/?$/.test(text) && URL.canParse(text)) return text;
  throw new Refusal("must be one or more servers joined by commas, such as nats://127.0.0.1:4222");
});

/** A Postgres server. What is wrong is not repeated: there is a password in it. */
export const postgresUrl = z.string().refine((text) => /^postgres(ql)?:\/\/\S+$/.test(text) && URL.canParse(text), {
  error: "must be postgres://user:password@host:port/database, with special characters of the password percent-encoded",
});

/** An http or https URL, without a slash at the end. */
export const httpUrl = z.string().transform((text, context): string => {
  if (/^https?:\/\/[^/\s?#]+[^\s?#]*$/.test(text) && URL.canParse(text)) return text.replace(/\/+$/, "");
  return refuse(context, `must be an http or https URL, such as https://webhooks.example.com; it is ${quote(text)}`);
});

/** Operator's keys joined by commas: long enough not to be guessed, and fit for a header. What is wrong is not repeated. */
export const operatorKeys = list((text): string => {
  if (/^[\x21-\x7e]{24,}$/.test(text)) return text;
  throw new Refusal(
    "must be at least 24 visible ASCII characters, such as `openssl rand -base64 32` prints, or several such keys joined by commas",
  );
});

/** Keys of 32 bytes in base64, joined by commas. */
export const secretsKeys = list((text): Uint8Array => {
  try {
    return parseSecretsKey(text, "TELLWIRE_SECRETS_KEY");
  } catch (error) {
    if (!(error instanceof TellwireError)) throw error;
    throw new Refusal(
      "must be 32 random bytes in base64, such as `openssl rand -base64 32` prints, or several joined by commas: the newest first",
    );
  }
});

/** Where an issuer publishes its keys: an http or https URL. It may be an internal one. */
export const jwksUrl = z
  .string()
  .refine((text) => /^https?:\/\/[^/\s?#@]+(\/[^\s#]*)?$/.test(text) && URL.canParse(text), {
    error: "must be an http or https URL without a user in it, such as https://login.example.com/.well-known/jwks.json",
  });

/** The name of a claim in a token. */
export const claimName = z.string().transform((text, context): string => {
  if (claimPattern.test(text)) return text;
  return refuse(context, `must be the name of a claim, such as organization_id; it is ${quote(text)}`);
});

/** A claim and a value, joined by an equals sign. */
export const claimValue = z.string().transform((text, context): { claim: string; value: string } => {
  const at = text.lastIndexOf("=");
  const [claim, value] = [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
  if (claimPattern.test(claim) && /^\S+$/.test(value)) return { claim, value };
  return refuse(
    context,
    `must be a claim and the value in it that makes an operator, such as roles=tellwire-operator; it is ${quote(text)}`,
  );
});

/** The names of clients and what they stand for, joined by commas. */
export const clientIdentities = list((text): ClientIdentity => {
  const identity = parseClientIdentity(text);
  if (!("problem" in identity)) return identity;
  throw new Refusal(
    `must be names and what they stand for, joined by commas, such as spiffe://example.com/billing=operator; ${quote(text)} is not ${identity.problem}`,
  );
}).transform((identities, context): ClientIdentity[] => {
  const names = identities.map(({ name }) => name);
  const twice = names.find((name, index) => names.indexOf(name) < index);
  return twice === undefined ? identities : refuse(context, `must list each name once; ${twice} is listed twice`);
});

const claimPattern = /^\S{1,255}$/;

const dayMs = 24 * 60 * 60 * 1000;
const unitsMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: dayMs };

/** Why one item of a list is refused. */
class Refusal extends Error {}

function list<Item>(read: (text: string) => Item) {
  return z.string().transform((text, context): Item[] => {
    try {
      return text.split(",").map((item) => read(item.trim()));
    } catch (error) {
      if (error instanceof Refusal) return refuse(context, error.message);
      throw error;
    }
  });
}

function refuse(context: z.RefinementCtx, message: string): never {
  context.addIssue({ code: "custom", message });
  return z.NEVER;
}

function quote(text: string): string {
  return JSON.stringify(text);
}
