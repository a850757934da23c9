import { generateKeyPairSync, type KeyObject, randomBytes, sign } from "node:crypto";

/** A certificate and its private key in PEM. */
export interface Certificate {
  cert: string;
  key: string;
}

export interface CertificateOptions {
  /** DNS names, IPv4 addresses, and URIs. */
  names: string[];
  notBefore?: Date;
  notAfter?: Date;
  /** The authority; self-signed if left out. */
  issuer?: { name: string; key: KeyObject } | undefined;
  isAuthority?: boolean;
  commonName?: string;
}

/** Makes an authority that lives as long as the test, and issues certificates. */
export function createAuthority(): { cert: string; issue(options: CertificateOptions): Certificate } {
  const name = `Test authority ${randomBytes(8).toString("hex")}`;
  const { cert, privateKey } = build({ names: [], isAuthority: true, commonName: name });
  const issuer = { name, key: privateKey };
  return { cert, issue: (options) => toPem(build({ ...options, issuer })) };
}

/** Makes a certificate that no authority vouches for. */
export function selfSign(options: CertificateOptions): Certificate {
  return toPem(build(options));
}

function toPem({ cert, privateKey }: { cert: string; privateKey: KeyObject }): Certificate {
  return { cert, key: privateKey.export({ type: "pkcs8", format: "pem" }).toString() };
}

/** X.509 v3 (RFC 5280) in DER, with P-256 keys: as little of it as OpenSSL accepts. */
function build(options: CertificateOptions): { cert: string; privateKey: KeyObject } {
  const { names, isAuthority = false, commonName = names[0] ?? "test", issuer } = options;
  const { notBefore = new Date(Date.now() - 3_600_000), notAfter = new Date(Date.now() + 3_600_000) } = options;
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const extensions = [
    extension([0x55, 0x1d, 0x13], true, sequence(...(isAuthority ? [der(0x01, Buffer.of(0xff))] : []))),
  ];
  if (names.length > 0) extensions.push(extension([0x55, 0x1d, 0x11], false, sequence(...names.map(generalName))));
  const body = sequence(
    der(0xa0, integer(Buffer.of(2))),
    integer(Buffer.concat([Buffer.of(1), randomBytes(8)])),
    ECDSA_WITH_SHA256,
    distinguishedName(issuer?.name ?? commonName),
    sequence(time(notBefore), time(notAfter)),
    distinguishedName(commonName),
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = sign("sha256", body, issuer?.key ?? privateKey);
  const cert = sequence(body, ECDSA_WITH_SHA256, der(0x03, Buffer.concat([Buffer.of(0), signature])));
  const lines = cert
    .toString("base64")
    .match(/.{1,64}/g)!
    .join("\n");
  return { cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`, privateKey };
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content;
  const head =
    length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

function sequence(...parts: Buffer[]): Buffer {
  return der(0x30, Buffer.concat(parts));
}

function integer(bytes: Buffer): Buffer {
  return der(0x02, bytes);
}

function oid(...bytes: number[]): Buffer {
  return der(0x06, Buffer.from(bytes));
}

function time(date: Date): Buffer {
  return der(0x18, Buffer.from(`${date.toISOString().replace(/[-:T]|\.\d+Z/g, "")}Z`));
}

function distinguishedName(commonName: string): Buffer {
  return sequence(der(0x31, sequence(oid(0x55, 0x04, 0x03), der(0x0c, Buffer.from(commonName)))));
}

function extension(id: number[], isCritical: boolean, value: Buffer): Buffer {
  return sequence(oid(...id), ...(isCritical ? [der(0x01, Buffer.of(0xff))] : []), der(0x04, value));
}

function generalName(name: string): Buffer {
  if (/^[\d.]+$/.test(name)) return der(0x87, Buffer.from(name.split(".").map(Number)));
  return der(name.includes("://") ? 0x86 : 0x82, Buffer.from(name));
}

const ECDSA_WITH_SHA256 = sequence(oid(0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02));
