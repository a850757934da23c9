import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from "node:crypto";

/**
 * Encrypts with AES-256-GCM: nonce (12 bytes), tag (16), ciphertext. `authenticated` is not in the result, and must be given again to decrypt.
 * Nonces are random (NIST SP 800-38D, 8.2.2), which one key bears for 2^32 values.
 */
export function encrypt(key: KeyObject, plaintext: Uint8Array, authenticated: Uint8Array): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(authenticated);
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]);
}

/** Decrypts what `encrypt` made. Throws where anything was changed, or the key or `authenticated` is another one. */
export function decrypt(key: KeyObject, encrypted: Uint8Array, authenticated: Uint8Array): Buffer {
  const decipher = createDecipheriv("aes-256-gcm", key, encrypted.subarray(0, nonceBytes), { authTagLength: tagBytes })
    .setAAD(authenticated)
    .setAuthTag(encrypted.subarray(nonceBytes, encryptionOverheadBytes));
  return Buffer.concat([decipher.update(encrypted.subarray(encryptionOverheadBytes)), decipher.final()]);
}

const nonceBytes = 12;
const tagBytes = 16;

/** How much longer the result is than the plaintext. */
export const encryptionOverheadBytes = nonceBytes + tagBytes;
