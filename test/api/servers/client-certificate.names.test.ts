import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { alternativeNames } from "../../../src/api/servers/client-certificate.ts";
import { createAuthority } from "../../outbound/certificate.ts";

const authority = createAuthority();

describe("the names of a certificate", () => {
  it.each<[string[], string[]]>([
    [["a.example.com"], ["a.example.com"]],
    [
      ["A.Example.com", "b"],
      ["a.example.com", "b"],
    ],
    [["spiffe://example.com/Billing"], ["spiffe://example.com/Billing"]],
    [
      ["a", "192.0.2.1", "spiffe://b/c"],
      ["a", "spiffe://b/c"],
    ],
    // Each of these is one name that means to look like two, or like one of another kind.
    [["good, DNS:evil"], []],
    [["good\u0000.evil"], []],
    [["spiffe://good, DNS:evil"], []],
    [["spiffe://good\\, DNS:evil"], []],
    [['spiffe://a", DNS:"evil'], []],
    [["x", 'spiffe://a", URI:spiffe://evil'], ["x"]],
    [["spiffe://a,URI:spiffe://evil"], []],
    [["\n"], []],
  ])("of %j are %j", (names, expected) => {
    const { cert } = authority.issue({ names });
    expect(alternativeNames(new X509Certificate(cert).subjectAltName ?? "")).toEqual(expected);
  });

  it("of a certificate with a common name alone are none", () => {
    const { cert } = authority.issue({ names: [], commonName: "billing" });
    expect(new X509Certificate(cert).subject).toContain("billing");
    expect(alternativeNames(new X509Certificate(cert).subjectAltName ?? "")).toEqual([]);
  });
});

it.each([
  ["", []],
  ["DNS:a", ["a"]],
  ["IP Address:192.0.2.1, DNS:a", ["a"]],
  ["othername:<unsupported>, DNS:a", ["a"]],
  ["email:a@example.com, URI:spiffe://a/b", ["spiffe://a/b"]],
  ['DNS:"a\\", DNS:b", DNS:c', ["c"]],
  ["DNS:a, ", ["a"]],
  // An authority that looks after its DNS names may leave URIs to whoever asks, and the other way round.
  ["URI:publisher.internal", []],
  ["URI:publisher.internal, DNS:a", ["a"]],
  ["DNS:spiffe://example.com/billing", []],
  ['DNS:a"b', []],
  ["DNS:a, b", []],
  ["DNS:a,DNS:b", []],
  ['DNS:"a', []],
  ["nonsense", []],
])("the text %j holds %j", (text, names) => {
  expect(alternativeNames(text)).toEqual(names);
});
