import { formatOf, type WebhookFormat } from "../domain/formats/catalogue.ts";
import { generatePrivateKey, publicKeyOf, type SigningAlgorithm } from "../domain/signing-key.ts";
import { type FieldViolation, invalidFields, TellwireError } from "../errors.ts";

/** What a caller says of the secret that a webhook is to sign with. */
export interface WantedSigningSecret {
  /** Empty: one is made. */
  signingSecret: string;
  /** undefined: that of the secret, and HMAC where one is made. */
  signingAlgorithm?: SigningAlgorithm | undefined;
}

/** A secret as it is stored. */
export interface NewSigningSecret {
  /** To be sealed. */
  text: string;
  algorithm: SigningAlgorithm;
  /** Of a key pair: 32 bytes. null: it is no pair. */
  publicKey: Buffer | null;
}

/** What its owner is told of it, this once. */
export interface ShownSecret {
  /** Empty where it is a key pair: nobody but this service signs with that, so nobody else needs its private half. */
  signingSecret: string;
  /** Of a key pair: 32 bytes. */
  publicKey: Buffer | null;
}

/**
 * Throws INVALID_FIELDS for a text that is no signing secret of the format, an algorithm that the format does not know, and where the two are
 * not of a kind. The text itself is never repeated. `path` stands before the names of the fields, such as `webhook.`.
 */
export function checkSigningSecret(format: WebhookFormat, wanted: WantedSigningSecret, path = ""): void {
  const { algorithms, parseSecret } = formatOf(format);
  const { signingSecret, signingAlgorithm: algorithm } = wanted;
  const violations: FieldViolation[] = [];
  if (algorithm !== undefined && !algorithms.includes(algorithm)) {
    const description = `${algorithm} is not for the format ${format}, whose receivers know ${algorithms.join(", ")} alone`;
    violations.push({ field: `${path}signing_algorithm`, description });
  }
  const parsed = signingSecret === "" ? undefined : parseSecret(signingSecret);
  if (parsed?.kind === "refused") {
    violations.push({ field: `${path}signing_secret`, description: parsed.reason });
  } else if (parsed !== undefined && algorithm !== undefined && parsed.key.algorithm !== algorithm) {
    const description = `is ${algorithm}, and the secret is one for ${parsed.key.algorithm}: leave this field out, or send another secret`;
    violations.push({ field: `${path}signing_algorithm`, description });
  }
  if (violations.length > 0) throw invalidFields(...violations);
}

/** The secret that a caller wants, made where none is given. `checkSigningSecret` has passed. */
export function newSigningSecret(
  format: WebhookFormat,
  { signingSecret, signingAlgorithm }: WantedSigningSecret,
  randomBytes: (size: number) => Uint8Array,
): NewSigningSecret {
  if (signingSecret !== "") return givenSigningSecret(format, signingSecret);
  const text =
    signingAlgorithm === "ED25519" ? generatePrivateKey(randomBytes) : formatOf(format).generateSecret(randomBytes);
  return givenSigningSecret(format, text);
}

/** What a text is as a secret of the format. Throws INTERNAL for a text that is none. */
export function givenSigningSecret(format: WebhookFormat, text: string): NewSigningSecret {
  const parsed = formatOf(format).parseSecret(text);
  if (parsed.kind === "refused") throw new TellwireError("INTERNAL", `a signing secret ${parsed.reason}`);
  const { key } = parsed;
  return {
    text,
    algorithm: key.algorithm,
    publicKey: key.algorithm === "ED25519" ? publicKeyOf(key.privateKey) : null,
  };
}

/** What the answer to a creation or a rotation tells of the secret. */
export function shownSecret({ text, publicKey }: NewSigningSecret): ShownSecret {
  return { signingSecret: publicKey === null ? text : "", publicKey };
}
