import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { messageTooLarge } from "./limited-body.ts";
import { refusalError } from "./refusal.ts";

/**
 * How the messages of calls may be compressed. What would become larger than the limit is decompressed no further, and refused with its reason; so
 * is what cannot be decompressed, which is the fault of whoever sent it.
 */
export const compressions: readonly Compression[] = [compressionGzip, compressionBrotli].map(withReason);

function withReason(compression: Compression): Compression {
  return {
    ...compression,
    async decompress(bytes, maxBytes) {
      try {
        return await compression.decompress(bytes, maxBytes);
      } catch (error) {
        if (!(error instanceof ConnectError)) throw error;
        if (error.code === Code.ResourceExhausted) throw messageTooLarge(maxBytes, ", decompressed");
        throw refusalError({
          reason: "MALFORMED_REQUEST",
          message: `the message is not ${compression.name}, as it says`,
        });
      }
    },
  };
}
