import { Code, ConnectError } from "@connectrpc/connect";
import type { Compression } from "@connectrpc/connect/protocol";
import { compressionBrotli, compressionGzip } from "@connectrpc/connect-node";
import { messageTooLarge } from "./limited-body.ts";

/** How the messages of calls may be compressed. What would become larger than the limit is decompressed no further, and refused with its reason. */
export const compressions: readonly Compression[] = [compressionGzip, compressionBrotli].map(withReason);

function withReason(compression: Compression): Compression {
  return {
    ...compression,
    async decompress(bytes, maxBytes) {
      try {
        return await compression.decompress(bytes, maxBytes);
      } catch (error) {
        const isTooLarge = error instanceof ConnectError && error.code === Code.ResourceExhausted;
        throw isTooLarge ? messageTooLarge(maxBytes, ", decompressed") : error;
      }
    },
  };
}
